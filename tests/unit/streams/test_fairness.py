"""Fair slots: whatever some requesters hold, a newcomer finds room."""

from hypothesis import given
from hypothesis import strategies as st

from streams.fairness import FairSlots, Requester, Room, Shares

SHARES = Shares(user=0.25, address=1.0)


def _fill(slots: FairSlots, requester: Requester) -> int:
    """Take all that the requester may hold; return how many that is."""
    taken = 0
    while slots.take(requester) is Room.FREE:
        taken += 1
    return taken


def test_one_user_holds_a_part_of_the_slots() -> None:
    """A fifth for a share of a quarter; then the user is told so, and others are served."""
    slots = FairSlots(100, SHARES)
    held = _fill(slots, Requester(1))

    assert held == 20
    assert slots.room(Requester(1)) is Room.SHARE_USED
    assert slots.room(Requester(2)) is Room.FREE


def test_one_address_holds_at_most_half() -> None:
    """However many users it has."""
    slots = FairSlots(100, SHARES)
    held = sum(_fill(slots, Requester(user, "192.0.2.1")) for user in range(100))

    assert held == 50
    assert slots.room(Requester(200, "192.0.2.1")) is Room.SHARE_USED
    assert slots.room(Requester(200, "192.0.2.2")) is Room.FREE


def test_a_user_may_have_a_fixed_maximum() -> None:
    """It holds besides the share."""
    slots = FairSlots(16, SHARES, user_max=2)

    assert _fill(slots, Requester(1)) == 2


def test_who_holds_nothing_may_take_the_last_slot() -> None:
    """Without a free slot nobody may."""
    slots = FairSlots(1, SHARES)

    assert slots.take(Requester(1)) is Room.FREE
    assert slots.take(Requester(2)) is Room.FULL
    slots.release(Requester(1))
    assert slots.take(Requester(2)) is Room.FREE


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=200))
def test_releases_restore_the_room(steps: list[tuple[int, bool]]) -> None:
    """The slots in use are those that were taken and not released; six users never use all."""
    slots, held = FairSlots(40, SHARES), dict.fromkeys(range(1, 7), 0)
    for user, takes in steps:
        if takes:
            held[user] += slots.take(Requester(user)) is Room.FREE
        elif held[user]:
            slots.release(Requester(user))
            held[user] -= 1

    assert slots.in_use == sum(held.values())
    assert [slots.held(Requester(user)) for user in held] == list(held.values())
    assert slots.room(Requester(7)) is Room.FREE
