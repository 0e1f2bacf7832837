"""Slots that requesters share fairly: one user or one address cannot hold them all.

Pure, apart from the context variable: nothing here waits.
"""

from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Requester:
    """The user, None without a valid token, and the address, None if addresses are not limited.

    All requests without a valid token count as one user.
    """

    user: int | None = None
    address: str | None = None


NOBODY = Requester()
# Who makes the request under way, for code that is too far from the request to be told.
REQUESTER: ContextVar[Requester] = ContextVar("requester", default=NOBODY)


class Room(Enum):
    """Whether a requester may take a slot, and if not, why."""

    FREE = auto()
    FULL = auto()  # No slot is free for anybody.
    SHARE_USED = auto()  # The user or the address holds its share.


@dataclass(frozen=True, slots=True)
class Shares:
    """How much a requester may hold: so many times the slots that are still free.

    With a share of 1/4, one user alone gets a fifth of all slots, and ten such users leave two slots
    in seven free. So there is room for a newcomer until about as many requesters as slots are there.
    """

    user: float
    address: float


class FairSlots:
    """`slots_max` slots, of which a user also holds at most `user_max`."""

    def __init__(self, slots_max: int, shares: Shares, *, user_max: int | None = None) -> None:
        self.slots_max = slots_max
        self._shares = shares
        self._user_max = user_max or slots_max
        self._in_use = 0
        self._by_user: Counter[int | None] = Counter()
        self._by_address: Counter[str | None] = Counter()

    @property
    def in_use(self) -> int:
        return self._in_use

    @property
    def is_full(self) -> bool:
        """Whether no slot is free for anybody."""
        return self._in_use >= self.slots_max

    def held(self, requester: Requester) -> int:
        """Return how many slots the user holds."""
        return self._by_user[requester.user]

    def room(self, requester: Requester) -> Room:
        """Return whether the requester may take one more slot."""
        if self.is_full:
            return Room.FULL
        free = self.slots_max - self._in_use
        held = self.held(requester)
        if held >= min(self._user_max, _share(self._shares.user, free)):
            return Room.SHARE_USED
        address = requester.address
        if address is not None and self._by_address[address] >= _share(self._shares.address, free):
            return Room.SHARE_USED
        return Room.FREE

    def take(self, requester: Requester) -> Room:
        """Take a slot if there is room; returns whether there was."""
        room = self.room(requester)
        if room is Room.FREE:
            self._in_use += 1
            self._by_user[requester.user] += 1
            if requester.address is not None:
                self._by_address[requester.address] += 1
        return room

    def release(self, requester: Requester) -> None:
        """Release a slot that the requester took."""
        self._in_use -= 1
        self._by_user[requester.user] -= 1
        if not self._by_user[requester.user]:
            del self._by_user[requester.user]
        if requester.address is not None:
            self._by_address[requester.address] -= 1
            if not self._by_address[requester.address]:
                del self._by_address[requester.address]


def _share(share: float, free: int) -> float:
    # Who holds nothing may always take the last slot.
    return max(1.0, share * free)
