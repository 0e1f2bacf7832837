"""Workers measure for themselves and agree on the switches, and every move is announced."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from schemas.ids import PhotoId, UserId
from streams.core.delivery import DeliveryReason
from streams.core.overload.backlog import LaneBacklog
from streams.core.overload.deferral import DeferredPost
from streams.core.overload.switches import Switch, SwitchState
from streams.errors import StoreUnavailable
from streams.overload.watch import sentence
from streams.settings import OverloadSettings
from streams.stores.memory.stores import memory_stores
from tests.worlds.deliveries import OverloadWorld
from topics.catalogue import Lane

NOBODY: Mapping[int, int | None] = {}
SETTINGS = OverloadSettings(
    breaker_open_deliveries=100, breaker_close_deliveries=10, shed_lag_records=20, shed_end_lag_records=5
)


@pytest.fixture
def world() -> OverloadWorld:
    return OverloadWorld(SETTINGS, memory_stores(clock_ms=lambda: 0))


def waits(
    world: OverloadWorld,
    *,
    deliveries: int = 0,
    records: int = 0,
    since_ms: Mapping[int, int | None] = NOBODY,
) -> None:
    world.backlog.lanes = {
        Lane.NORMAL: LaneBacklog(deliveries // 2, records // 2, since_ms),
        Lane.BULK: LaneBacklog(deliveries - deliveries // 2, records - records // 2),
    }


async def test_the_breaker_opens_and_closes_by_the_deliveries_of_both_lanes(world: OverloadWorld) -> None:
    seen = []
    for deliveries in (100, 101, 500, 10, 9, 100):
        waits(world, deliveries=deliveries)
        await world.watch.refresh()
        seen.append(world.watch.now().is_breaker_open)

    assert seen == [False, True, True, True, False, False]
    assert [(move.is_on, move.measured, move.version) for move in world.announced] == [
        (True, 101, 1),
        (False, 9, 2),
    ]


async def test_shedding_goes_by_records(world: OverloadWorld) -> None:
    seen = []
    for records in (20, 21, 5, 4):
        waits(world, records=records)
        await world.watch.refresh()
        seen.append((world.watch.now().is_shedding, world.watch.is_postponing()))

    assert seen == [(False, False), (True, True), (True, True), (False, False)]


async def test_slow_pushes_are_backlog_and_postponed_posts_are_not(world: OverloadWorld) -> None:
    """Otherwise what waits for the breaker would keep it open."""
    slow = DeferredPost(
        photo_id=PhotoId(1),
        author_id=UserId(2),
        reason=DeliveryReason.SLOW_PUSH,
        followers=60,
        ready_ms=world.now_ms,
    )
    await world.stores.deferred.add([slow])
    others = DeliveryReason.BREAKER, DeliveryReason.SHED, DeliveryReason.CELEBRITY_PUSHED
    for number, reason in enumerate(others, 2):
        await world.stores.deferred.add(
            [replace(slow, photo_id=PhotoId(number), followers=10**9, reason=reason)]
        )
    waits(world, deliveries=40)
    await world.watch.refresh()
    assert not world.watch.now().is_breaker_open
    waits(world, deliveries=41)
    await world.watch.refresh()
    assert world.watch.now().is_breaker_open


async def test_all_workers_see_one_order_of_moves(world: OverloadWorld) -> None:
    """The first that measures moves it, the others follow, and a worker that starts knows it at once."""
    workers = [world.watch, world.worker()]
    for deliveries in (101, 5, 101):
        waits(world, deliveries=deliveries)
        for worker in (*workers, *workers):
            await worker.refresh()
    started = world.worker()
    waits(world, deliveries=50)
    await started.refresh()

    assert started.now().is_breaker_open
    assert [move.version for move in world.announced] == [1, 2, 3]


async def test_a_move_whose_worker_died_is_announced_by_another(world: OverloadWorld) -> None:
    """Before the next move, so that the announcements are complete. Who could not announce it obeys it."""
    dying = world.worker()

    async def dies(state: SwitchState) -> None:
        raise StoreUnavailable("kafka", "produce", "killed")

    dying.announce = dies
    waits(world, deliveries=101)
    with pytest.raises(StoreUnavailable):
        await dying.refresh()
    assert dying.now().is_breaker_open  # Although it is not announced.
    waits(world, deliveries=0)
    for _ in range(2):
        await world.watch.refresh()

    assert [(move.is_on, move.version) for move in world.announced] == [(True, 1), (False, 2)]
    assert all(state.is_announced for state in (await world.stores.switches.states()).values())


async def test_how_long_records_of_each_partition_have_waited_is_known(world: OverloadWorld) -> None:
    waits(world, records=2, since_ms={0: world.now_ms - 4_500, 1: None})
    await world.watch.refresh()
    assert world.watch.now().oldest_s == {0: 4.5, 1: 0.0}


async def test_what_is_known_stays_while_a_store_is_away(world: OverloadWorld) -> None:
    waits(world, deliveries=101)
    await world.watch.refresh()

    world.backlog.is_down = True
    with pytest.raises(StoreUnavailable):
        await world.watch.refresh()
    assert world.watch.now().is_breaker_open


@pytest.mark.parametrize("switch", Switch)
@pytest.mark.parametrize("is_on", [True, False])
def test_each_move_is_a_sentence_with_its_figure(switch: Switch, is_on: bool) -> None:
    said = sentence(SwitchState(switch=switch, is_on=is_on, measured=1_234_567))

    assert "1,234,567" in said
    assert said.split(":")[0] in (
        "the breaker opens",
        "the breaker closes",
        "shedding begins",
        "shedding ends",
    )
