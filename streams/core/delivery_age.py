"""How old the newest moment is up to which deliveries are known to be in the timelines, group by group.

Pure: `api/reading/delivery_poller.py` reads what this compares, and passes the time.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from schemas.ids import UserId
from streams.core.checkpoints import reached

# One a second is enough for the 5 s that matter. An older one that is not applied yet says no more than
# the oldest of these.
MOMENTS_MAX = 16


@dataclass(frozen=True, slots=True)
class Moment:
    """When the logs had these ends, in seconds, and the authors of the photos that were ready then and
    perhaps not published."""

    at_s: float
    undelivered: frozenset[UserId]
    ends: Mapping[int, int]


@dataclass(slots=True)
class DeliveryAge:
    """Compares where the logs ended at several moments with what has been applied since.

    Everything that was published before a moment is applied in a group of timelines once each of its
    checkpoints has reached the end that its log had at that moment. What was ready at that moment and not
    published yet had one of the `undelivered` authors.
    """

    _moments: deque[Moment] = field(default_factory=lambda: deque(maxlen=MOMENTS_MAX), init=False)
    _applied: dict[int, Moment] = field(default_factory=dict, init=False)

    def applied(self, group: int) -> Moment | None:
        """Return the newest moment up to which all is applied in the group; None if none is known."""
        return self._applied.get(group)

    def observe(
        self,
        moment: Moment,
        checkpoints: Iterable[tuple[Collection[int], Mapping[int, int] | None]],
    ) -> None:
        """Take what was read from a moment on: the undelivered authors first, then the ends of the logs, and
        last the lowest checkpoints of groups, which are beside them. None is of groups that are not known.

        A partition without a checkpoint counts as one of which nothing has been applied.
        """
        self._moments.append(moment)
        for groups, lowest in checkpoints:
            if lowest is None:
                continue
            newest = next((past for past in reversed(self._moments) if reached(past.ends, lowest)), None)
            if newest is not None:
                self._applied |= {group: newest for group in groups if self._is_newer(group, newest)}

    def _is_newer(self, group: int, moment: Moment) -> bool:
        known = self._applied.get(group)
        return known is None or known.at_s < moment.at_s
