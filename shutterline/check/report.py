"""What a check found: differences between what is served and what Cassandra's rows say."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

EXAMPLES_MAX = 20


class FindingKind(StrEnum):
    """What can be wrong, as a check names it."""

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
    ONE_SIDED_LIKE = "one-sided likes"  # In the user's likes, and not among the photo's likers.
    WAITING = "waiting photos"  # In processing for longer than anything takes.
    EDGES = "edge tables"  # An edge that is in one table and not in the other.


FEED_KINDS = (
    FindingKind.MISSING,
    FindingKind.EXTRA,
    FindingKind.DUPLICATE,
    FindingKind.ORDER,
    FindingKind.INCOMPLETE,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference of one user; `subject` is the photo or user that it is about."""

    kind: FindingKind
    user: int
    subject: int
    detail: str = field(default="", compare=False)

    def __str__(self) -> str:
        about = "" if self.subject == self.user else f" {self.subject}"
        return f"user {self.user}: {self.kind}{about}{f', {self.detail}' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class CheckedUser:
    """The findings of one look at one user, and how much was compared for them."""

    findings: tuple[Finding, ...]
    photos: int = 0
    counts: int = 0
    edges: int = 0
    processing: int = 0

    def confirming(self, earlier: Self) -> Self:
        """Return this look with only those of its findings that the earlier look also had."""
        confirmed = tuple(finding for finding in self.findings if finding in set(earlier.findings))
        return type(self)(confirmed, self.photos, self.counts, self.edges, self.processing)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The whole check. `difference` is 0 if everything served is what the rows say.

    `rechecked` users had findings at first and were looked at a second time.
    """

    users: int
    photos: int
    counts: int
    edges: int
    processing: int
    rechecked: int
    by_kind: Mapping[FindingKind, int]
    wrong_users: int
    examples: tuple[Finding, ...]

    @property
    def difference(self) -> int:
        return sum(self.by_kind.values())

    @classmethod
    def of(cls, checked: Iterable[CheckedUser], *, rechecked: int) -> Self:
        """Sum up the users' results; at most `EXAMPLES_MAX` findings are examples."""
        users = list(checked)
        findings = [finding for user in users for finding in user.findings]
        return cls(
            users=len(users),
            photos=sum(user.photos for user in users),
            counts=sum(user.counts for user in users),
            edges=sum(user.edges for user in users),
            processing=sum(user.processing for user in users),
            rechecked=rechecked,
            by_kind=Counter(finding.kind for finding in findings),
            wrong_users=sum(bool(user.findings) for user in users),
            examples=tuple(findings[:EXAMPLES_MAX]),
        )
