"""The minter never mints an id twice, whatever the clock does and whenever the process restarts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import EPOCH_MS, SEQUENCES, id_ms
from schemas.minting import ClockWentBack, IdMinter

START_MS = EPOCH_MS + 1_000_000_000


@dataclass
class Host:
    """A clock that advances only in `sleep`, or is set by the test; and the shard's lease."""

    now_ms: int = START_MS
    reserved_ms: int = 0
    reservations: int = 0
    slept_ms: int = 0
    lease_lost: bool = False
    jumps_ms: list[int] = field(default_factory=list)

    def clock_ms(self) -> int:
        if self.jumps_ms:
            self.now_ms += self.jumps_ms.pop(0)
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.slept_ms += round(seconds * 1_000)
        self.now_ms += round(seconds * 1_000)

    async def reserve(self, unix_ms: int) -> None:
        await asyncio.sleep(0)
        if self.lease_lost:
            raise ConnectionError("the lease of shard 7 is another's")
        self.reserved_ms = unix_ms
        self.reservations += 1

    def minter(self) -> IdMinter:
        """Return a minter as a process makes it when it starts: it begins after all reserved
        milliseconds."""
        return IdMinter(
            7, clock_ms=self.clock_ms, sleep=self.sleep, reserve=self.reserve, last_ms=self.reserved_ms
        )


async def mint_some(minter: IdMinter, count: int) -> list[int]:
    """Mint up to `count` ids; stop if the clock is too far behind."""
    minted: list[int] = []
    try:
        for _ in range(count):
            minted.append(await minter.mint())  # noqa: PERF401 - what was minted before a refusal counts.
    except ClockWentBack:
        pass
    return minted


def strictly_increasing(minted: Sequence[int]) -> bool:
    return all(left < right for left, right in pairwise(minted))


@given(st.lists(st.integers(-2_000, 5_000), max_size=60), st.integers(1, 60))
def test_ids_strictly_increase_whatever_the_clock_does(jumps_ms: list[int], count: int) -> None:
    """The clock jumps forwards or backwards before every reading."""
    host = Host(jumps_ms=jumps_ms)

    minted = asyncio.run(mint_some(host.minter(), count))

    assert strictly_increasing(minted)


@pytest.mark.law("L13")
@given(
    st.lists(
        st.tuples(st.sampled_from([-3_600_000, -10_000, -1_000, 0, 1, 4_000]), st.integers(1, 2_100)),
        min_size=2,
        max_size=6,
    )
)
def test_no_id_comes_twice_over_restarts_with_the_clock_set_back(restarts: list[tuple[int, int]]) -> None:
    """Each restart is a new minter that knows only what was reserved; between them the clock is set."""
    host = Host()
    minted: list[int] = []

    for jump_ms, count in restarts:
        host.now_ms += jump_ms
        minted += asyncio.run(mint_some(host.minter(), count))

    assert strictly_increasing(minted)


@given(st.integers(0, 5_000), st.integers(2, 40))
def test_what_is_issued_was_reserved_before(step_ms: int, count: int) -> None:
    """The time of every id is at most the time that the lease's store has as reserved."""
    host = Host(jumps_ms=[step_ms] * count)
    minter = host.minter()

    async def reserved_when_minted() -> list[tuple[int, int]]:
        return [(id_ms(await minter.mint()), host.reserved_ms) for _ in range(count)]

    assert all(unix_ms <= reserved_ms for unix_ms, reserved_ms in asyncio.run(reserved_when_minted()))


def test_a_quick_restart_waits_out_the_reservation() -> None:
    """The new minter waits until the reserved milliseconds are over, and then continues by
    itself."""
    host = Host()
    asyncio.run(host.minter().mint())

    minted = asyncio.run(host.minter().mint())

    assert id_ms(minted) == START_MS + 3_001
    assert host.slept_ms == 3_001


@pytest.mark.parametrize("back_ms", [10_000, 3_600_000])
def test_a_clock_far_behind_is_an_error_that_names_both_times(back_ms: int) -> None:
    """The minter does not wait, and mints no id."""
    host = Host()
    minter = host.minter()
    asyncio.run(minter.mint())
    host.now_ms -= back_ms

    with pytest.raises(ClockWentBack, match=r"clock says 2024-.* ids up to 2024-01-12T13:46:40") as went:
        asyncio.run(minter.mint())

    assert went.value.issued_ms - went.value.now_ms == back_ms
    assert host.slept_ms == 0


def test_a_clock_a_second_behind_is_waited_for() -> None:
    """After the wait, the next id has the same millisecond as the last one and the next sequence
    number."""
    host = Host()
    minter = host.minter()
    first = asyncio.run(minter.mint())
    host.now_ms -= 1_000

    second = asyncio.run(minter.mint())

    assert second == first + 1
    assert host.slept_ms == 1_000


def test_a_clock_that_stands_still_ends_the_wait_with_an_error() -> None:
    """If the clock does not advance during sleeps, the wait must end after some time."""
    host = Host()
    minter = host.minter()
    asyncio.run(mint_some(minter, SEQUENCES))
    host.jumps_ms = [-1] * 10_000

    with pytest.raises(ClockWentBack):
        asyncio.run(minter.mint())


def test_a_full_millisecond_waits_for_the_next() -> None:
    """A millisecond has 1,024 ids. The next id is the first of the next millisecond."""
    host = Host()
    minter = host.minter()

    minted = asyncio.run(mint_some(minter, SEQUENCES + 1))

    assert [id_ms(minted[-2]), id_ms(minted[-1])] == [START_MS, START_MS + 1]
    assert len(set(minted)) == SEQUENCES + 1


@pytest.mark.law("L13")
def test_concurrent_callers_never_get_the_same_id() -> None:
    """Minting awaits between reading the clock and taking a sequence; others must not slip in."""
    host = Host()
    minter = host.minter()

    async def together() -> list[int]:
        return list(await asyncio.gather(*(minter.mint() for _ in range(3 * SEQUENCES))))

    assert len(set(asyncio.run(together()))) == 3 * SEQUENCES


def test_reserving_costs_one_write_in_three_seconds() -> None:
    """With ten ids in nine seconds, the store gets three writes, not ten."""
    host = Host(jumps_ms=[0] + [1_000] * 9)

    asyncio.run(mint_some(host.minter(), 10))

    assert host.reservations == 3


def test_without_the_lease_nothing_is_issued_beyond_the_reservation() -> None:
    """If a process was frozen until its lease expired, its next reservation fails. It can try
    again."""
    host = Host()
    minter = host.minter()
    asyncio.run(minter.mint())
    host.now_ms += 60_000
    host.lease_lost = True

    with pytest.raises(ConnectionError):
        asyncio.run(minter.mint())
    host.lease_lost = False

    assert id_ms(asyncio.run(minter.mint())) == START_MS + 60_000


def test_limits_that_contradict_each_other_are_refused() -> None:
    """If a reservation were longer than the longest wait, every quick restart would be an error."""
    host = Host()
    with pytest.raises(ValueError, match="reserve_ahead_ms=5000 must be below"):
        IdMinter(
            7,
            clock_ms=host.clock_ms,
            sleep=host.sleep,
            reserve=host.reserve,
            last_ms=0,
            reserve_ahead_ms=5_000,
        )


def test_a_shard_that_does_not_exist_is_refused() -> None:
    """The error is raised when the minter is made, not with the first id."""
    host = Host()
    with pytest.raises(ValueError, match="shard is 8192"):
        IdMinter(8_192, clock_ms=host.clock_ms, sleep=host.sleep, reserve=host.reserve, last_ms=0)
