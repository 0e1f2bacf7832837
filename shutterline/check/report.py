"""What a check found: differences between what is served and what Cassandra's rows say."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

EXAMPLES_MAX = 20


class Kind(StrEnum):
    """One word for each thing that can be wrong."""

    MISSING = "missing"  # A photo that the feed should show.
    EXTRA = "extra"
    DUPLICATE = "duplicate"
    ORDER = "out of order"
    INCOMPLETE = "incomplete"  # The feed did not become `complete` in time.
    FOLLOWERS = "followers"
    FOLLOWING = "following"
    PHOTOS = "photos"
    LIKES = "likes"
    LIKED = "liked"
    EDGES = "edge tables"  # An edge that is in one table and not in the other.


FEED_KINDS = (Kind.MISSING, Kind.EXTRA, Kind.DUPLICATE, Kind.ORDER, Kind.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference of one user; `subject` is the photo or user that it is about."""

    kind: Kind
    user: int
    subject: int
    detail: str = field(default="", compare=False)

    def __str__(self) -> str:
        about = "" if self.subject == self.user else f" {self.subject}"
        return f"user {self.user}: {self.kind}{about}{f', {self.detail}' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class Found:
    """What one look at one user found, and how much was compared for it."""

    findings: tuple[Finding, ...]
    photos: int = 0
    counts: int = 0
    edges: int = 0

    def still(self, earlier: Self) -> Self:
        """This look with only those findings that the earlier one had, too."""
        stay = tuple(finding for finding in self.findings if finding in set(earlier.findings))
        return type(self)(stay, self.photos, self.counts, self.edges)


@dataclass(frozen=True, slots=True)
class Report:
    """The whole check. `difference` is 0 when everything served is what the rows say."""

    users: int
    photos: int
    counts: int
    edges: int
    looked_again: int
    by_kind: Mapping[Kind, int]
    wrong_users: int
    examples: tuple[Finding, ...]

    @property
    def difference(self) -> int:
        return sum(self.by_kind.values())

    @classmethod
    def of(cls, found: Iterable[Found], *, looked_again: int) -> Self:
        """Sum up the users' results; keeps `EXAMPLES_MAX` findings."""
        looks = list(found)
        findings = [finding for look in looks for finding in look.findings]
        return cls(
            users=len(looks),
            photos=sum(look.photos for look in looks),
            counts=sum(look.counts for look in looks),
            edges=sum(look.edges for look in looks),
            looked_again=looked_again,
            by_kind=Counter(finding.kind for finding in findings),
            wrong_users=sum(bool(look.findings) for look in looks),
            examples=tuple(findings[:EXAMPLES_MAX]),
        )
