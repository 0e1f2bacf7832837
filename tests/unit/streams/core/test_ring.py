"""The ring: nothing above its floor is ever lost, the floor never sinks, the value never grows."""

from collections.abc import Iterable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import ID_MAX, pack_ids
from streams.core import ring
from tests.contract.ring_model import RingModel

SLOTS = 2 * ring.BLOCK
TOKEN = b"\x01rebuild"
lay_out = partial(ring.lay_out, slots=SLOTS, floor=0, version=0)

few_ids = st.lists(st.integers(1, 40), max_size=24)
floors = st.integers(0, 40)


def cells(value: bytes) -> list[int]:
    """The slots in the order in which they are overwritten, empty ones left out."""
    body = value[ring.HEADER_BYTES :]
    slots = [int.from_bytes(body[at : at + 8]) for at in range(0, len(body), 8)]
    return [slot for slot in (*slots[ring.BLOCK :], *slots[: ring.BLOCK]) if slot]


def vouched_for(value: bytes, pushed: Iterable[int]) -> bool:
    """Whether the ring holds every pushed photo above its floor."""
    stored = ring.parse(value)
    return {photo for photo in pushed if photo > stored.floor} <= stored.ids


@given(st.lists(st.integers(1, ID_MAX), max_size=24), st.integers(0, ID_MAX), st.integers(0, 2**32 - 1))
def test_what_is_laid_out_is_read_again(ids: list[int], floor: int, version: int) -> None:
    """Parsing returns the newest ids, version and token, and a floor not below any dropped id."""
    kept = sorted(set(ids))[-SLOTS:]
    dropped = set(ids) - set(kept)
    value = ring.lay_out(ids, slots=SLOTS, floor=floor, version=version, token=TOKEN)
    stored = ring.parse(value)

    assert stored.ids == set(kept)
    assert stored.descending() == sorted(kept, reverse=True)
    assert stored.floor == max({floor, *dropped})
    assert stored.version == version
    assert stored.token == ring.token_of(value) == TOKEN
    assert stored.guard == value[: ring.GUARD_BYTES]


@given(few_ids)
def test_a_value_has_one_length(ids: list[int]) -> None:
    """The header and every slot, empty or not, so that a timeline never grows."""
    assert len(lay_out(ids)) == 24 + 8 * SLOTS


@given(few_ids)
def test_the_next_append_overwrites_the_oldest(ids: list[int]) -> None:
    """Ids ascend from the second block on, and the newest are in the first block; there the count of
    arrivals points at an empty slot, or the block is full."""
    value = lay_out(ids)
    arrivals = ring.parse(value).arrivals

    assert cells(value) == sorted(set(ids))[-SLOTS:]
    assert arrivals == len(cells(value))
    in_first = sum(map(bool, ring.parse(value).slots[: ring.BLOCK]))
    assert in_first == (arrivals % ring.BLOCK or min(arrivals, ring.BLOCK))


def test_the_layout_is_the_documented_one() -> None:
    """The Lua scripts and other versions of the code rely on these bytes."""
    value = ring.lay_out(range(10, 2, -1), slots=16, floor=1, version=5, token=TOKEN)
    longer = ring.lay_out(range(11, 2, -1), slots=16, floor=1, version=5, token=TOKEN)

    assert value == b"\x80\0\0\x08" + b"\0\0\0\5" + TOKEN + pack_ids([1, *range(3, 11), *[0] * 8])
    assert longer[:4] == b"\x80\0\0\x09"
    assert longer[16:] == pack_ids([1, 11, *[0] * 7, *range(3, 11)])


def test_the_layout_until_2026_11_29_is_read() -> None:
    """Such values are stored while a new version is rolled out."""
    value = b"\0\0\0\7" + b"\0\0\0\5" + TOKEN + pack_ids([1, 6, 7, 3, 4, 5])
    stored = ring.parse(value)

    assert (stored.arrivals, stored.version, stored.token, stored.floor) == (7, 5, TOKEN, 1)
    assert stored.descending() == [7, 6, 5, 4, 3]


def test_the_version_wraps() -> None:
    """After four billion layouts it starts again, instead of failing."""
    assert ring.parse(lay_out([1], version=2**32)).version == 0


@given(few_ids, floors, few_ids)
def test_a_merge_loses_nothing_above_the_floor(ids: list[int], floor: int, late: list[int]) -> None:
    """This holds for stored and late photos; the floor never sinks, and gets nothing below it."""
    before = lay_out(ids, floor=floor)
    merged = ring.merge(ring.parse(before), late, slots=SLOTS) or before
    stored = ring.parse(merged)

    assert vouched_for(merged, [*ring.parse(before).ids, *(photo for photo in late if photo > floor)])
    assert stored.floor >= ring.parse(before).floor
    assert stored.ids <= {*ids, *late}
    assert all(photo > ring.parse(before).floor for photo in stored.ids - ring.parse(before).ids)


@given(few_ids, few_ids)
def test_a_late_photo_never_pushes_out_a_newer_one(ids: list[int], late: list[int]) -> None:
    """A dropped photo is older than every photo that stays."""
    before = ring.parse(lay_out(ids))
    merged = ring.merge(before, late, slots=SLOTS)
    after = before.ids if merged is None else ring.parse(merged).ids

    for dropped in before.ids - after:
        assert dropped < min(after)


@given(few_ids, floors, few_ids)
def test_merging_again_changes_nothing(ids: list[int], floor: int, late: list[int]) -> None:
    """The second merge returns None, because there is nothing to write."""
    before = lay_out(ids, floor=floor)
    merged = ring.merge(ring.parse(before), late, slots=SLOTS) or before

    assert ring.merge(ring.parse(merged), late, slots=SLOTS) is None


@given(few_ids, few_ids)
def test_a_merge_keeps_the_token_and_raises_the_version(ids: list[int], late: list[int]) -> None:
    """So a rebuild continues, and a writer that read before the merge sees the change."""
    before = ring.parse(lay_out(ids, version=7, token=TOKEN))
    merged = ring.merge(before, late, slots=SLOTS)

    if merged is not None:
        after = ring.parse(merged)
        assert (after.token, after.version) == (TOKEN, 8)
        assert after.guard != before.guard


@pytest.mark.law("L1")
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=80), floors)
def test_inserts_among_appends_lose_nothing(steps: list[tuple[bool, int]], floor: int) -> None:
    """Fresh photos are appended in the order of their ids, and photos of any age are inserted. The ring
    then has its newest photos, all but 7 slots full of them."""
    model = RingModel(SLOTS, TOKEN, floor=floor)
    pushed: set[int] = set()
    newest = floor
    for is_late, number in steps:
        before = model.value()
        if is_late:
            pushed |= {number} if number > model.floor else set()
            model.insert(number)
            assert ring.inserted(before, number) == model.value()
        else:
            newest = max([newest, *pushed]) + 1
            pushed.add(newest)
            model.append(newest)
        stored = ring.parse(model.value())

        assert vouched_for(model.value(), pushed)
        assert ring.parse(before).floor <= stored.floor
        assert sum(photo > stored.floor for photo in stored.ids) >= min(len(pushed), SLOTS - ring.BLOCK + 1)


@given(few_ids, floors, st.integers(1, 60), st.integers(1, 60))
def test_inserting_again_changes_nothing(ids: list[int], floor: int, photo: int, other: int) -> None:
    """Not one byte, also when another photo was inserted between. A first insert changes the guard, so
    a writer that read before it sees the change; the token stays, so a rebuild continues."""
    value = lay_out(ids, floor=floor, token=TOKEN)
    once = ring.inserted(value, photo)
    twice = ring.inserted(once, other)

    assert ring.inserted(once, photo) == once
    assert ring.inserted(twice, photo) == twice
    assert (once == value) == (ring.parse(once).guard == ring.parse(value).guard)
    assert ring.token_of(twice) == TOKEN


@pytest.mark.law("L5")
def test_a_photo_among_those_overwritten_next_raises_the_floor() -> None:
    """The version is raised with it, so that a rebuild that read before does not lower the floor."""
    value = ring.lay_out(range(10, 170, 10), slots=SLOTS, floor=3, version=2**32 - 1, token=TOKEN)
    behind = ring.parse(ring.inserted(value, 85))

    assert ring.inserted(value, 75) == ring.lay_out(
        range(10, 170, 10), slots=SLOTS, floor=75, version=0, token=TOKEN
    )
    assert behind.ids == {*range(90, 170, 10), 85}
    assert behind.floor == 80


@given(few_ids, st.integers(1, 60))
def test_an_inserted_photo_never_pushes_out_a_newer_one(ids: list[int], photo: int) -> None:
    """A dropped photo is older than every photo that stays above the floor."""
    before = ring.parse(lay_out(ids))
    after = ring.parse(ring.inserted(lay_out(ids), photo))

    assert all(dropped <= after.floor for dropped in before.ids - after.ids)
    assert after.floor <= max(before.floor, *sorted(before.ids | {photo})[: ring.BLOCK])


@pytest.mark.law("L5")
@given(few_ids, floors, few_ids, floors)
def test_a_rebuild_loses_nothing_above_the_floor(
    arrived: list[int], ring_floor: int, found: list[int], floor: int
) -> None:
    """Law: rebuild loses nothing that arrives meanwhile. What the database holds is read down to `floor`."""
    found = [photo for photo in found if photo > floor]
    during = ring.parse(lay_out(arrived, floor=ring_floor, version=3, token=TOKEN))
    value = ring.rebuilt(during, found, floor=floor, slots=SLOTS)
    stored = ring.parse(value)

    assert vouched_for(value, [*found, *during.ids])
    assert stored.floor >= max(floor, during.floor)
    assert stored.ids <= {*found, *during.ids}
    assert all(photo > floor for photo in stored.ids)
    assert (stored.token, stored.version) == (ring.NO_TOKEN, 4)


@pytest.mark.parametrize("photo", [1, 2**53 + 1, ID_MAX])
def test_ids_are_kept_to_the_last_bit(photo: int) -> None:
    """A floating-point score would lose the last bit above 2^53."""
    assert ring.parse(lay_out([photo])).ids == {photo}
    assert ring.parse(lay_out([], floor=photo)).floor == photo
