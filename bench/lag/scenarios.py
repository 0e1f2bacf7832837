"""Situations that a lag monitor must tell apart. Each states its truth as it goes."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from bench.lag.group import LOOK_S, VERDICT_S_MAX, ConsumerProcess, ScenarioGroup
from bench.traffic.waiting import eventually
from streams.clock import unix_ms
from streams.core.lag.states import LagState
from streams.kafka.clients import aiokafka_client
from streams.ports.coordination import Stop

# A commit may stand still for so long here, and not for a minute, so that a run is short.
STILL_S = 4.0
# The broker refuses timestamps that are more than an hour ahead.
WRONG_MS = 3_000_000
STORM_S = 14.0

Play = Callable[[ScenarioGroup], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, to how many partitions; and whether the broker is killed, so that it must run alone."""

    play: Play
    partitions: int = 1
    still_s: float = 60.0
    kills_broker: bool = False


async def looks(group: ScenarioGroup, count: int) -> None:
    """Wait for so many more looks."""
    wanted = len(group.trace.looks) + count

    async def have_been() -> bool:
        return len(group.trace.looks) >= wanted

    await _waited_for(have_been, count * LOOK_S * 2)


async def drained(group: ScenarioGroup) -> None:
    """Wait until the group has committed all records."""

    async def is_drained() -> bool:
        return group.trace.is_drained()

    await _waited_for(is_drained, 2 * VERDICT_S_MAX)


async def joined(group: ScenarioGroup) -> None:
    """Wait until all partitions have an owner; before that the group is stopped, if records wait."""
    await _waited_for(group.is_owned, 2 * VERDICT_S_MAX)


async def committed(group: ScenarioGroup) -> None:
    """Wait for the first commit."""

    async def is_committed() -> bool:
        commits = group.trace.partitions[0].commits
        return bool(commits) and commits[0].acked_ms <= unix_ms()

    await _waited_for(is_committed, 2 * VERDICT_S_MAX)


async def _waited_for(check: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Wait; go on if it takes too long, because the looks are judged afterwards."""
    with suppress(TimeoutError):
        await eventually("the scenario goes on", check, within_s)


async def idle(group: ScenarioGroup) -> None:
    """Nothing is published any more."""
    group.is_now(LagState.OK)
    group.consume()
    await joined(group)
    await group.produce(50)
    await drained(group)
    await looks(group, 6)


async def burst(group: ScenarioGroup) -> None:
    """Far more than usual arrives at once, and is read in a dozen seconds."""
    group.is_now(LagState.OK)
    group.consume(records_per_s_max=300)
    await joined(group)
    await group.produce(20)
    await drained(group)
    await group.produce(3_000)
    await drained(group)
    await looks(group, 3)


async def stuck_partition(group: ScenarioGroup) -> None:
    """One of three partitions does not move; then it does."""
    consumer = group.consume()
    group.is_now(LagState.OK)
    await joined(group)
    for partition in range(3):
        group.run(group.produce_steadily(10, partition))
    await looks(group, 2)
    consumer.stuck_at[1] = max((commit.offset for commit in group.trace.partitions[1].commits), default=0)
    group.is_now(LagState.STALLED, in_s=STILL_S)
    await group.seen(LagState.STALLED)
    await looks(group, 2)
    del consumer.stuck_at[1]
    group.is_now(LagState.OK)
    await looks(group, 4)


async def poison_record(group: ScenarioGroup) -> None:
    """Two workers end at the same offset, as their watchdogs store it."""
    group.consume(stuck_at={0: 5})
    group.is_now(LagState.OK)
    await joined(group)
    await group.produce(20)
    await committed(group)
    group.is_now(LagState.STALLED, in_s=STILL_S)
    await group.seen(LagState.STALLED)
    for _ in range(2):
        await group.stores.stuck_partitions.ended_at(group.group, group.topic, 0, 5)
    # The monitor asks for such ends only after ten seconds without a commit.
    group.is_now(LagState.POISON)
    await group.seen(LagState.POISON)
    await looks(group, 2)


async def dead_letter_stop(group: ScenarioGroup) -> None:
    """The partition stops at the dead-letter limit, and an operator resumes it."""
    consumer = group.consume()
    group.is_now(LagState.OK)
    await joined(group)
    await group.produce(10)
    await drained(group)
    await looks(group, 1)
    consumer.stuck_at[0] = 10
    await group.produce(100)
    stop = Stop(
        group=group.group, topic=group.topic, partition=0, position=10, reason="limit", since_ms=unix_ms()
    )
    group.is_now(LagState.POISON)
    await group.stops.stop(stop)
    await group.seen(LagState.POISON)
    await looks(group, 2)
    await group.stops.resume(group.group)
    del consumer.stuck_at[0]
    group.is_now(LagState.OK)
    await group.seen(LagState.OK)
    await looks(group, 2)


async def paused_lane(group: ScenarioGroup) -> None:
    """All workers wait for Cassandra, which does not respond to the monitor either."""
    consumer = group.consume()
    group.is_now(LagState.OK)
    await joined(group)
    await group.produce(10)
    await drained(group)
    await looks(group, 1)
    consumer.stuck_at[0] = 10
    group.stops.is_away = True
    await group.produce(30)
    group.is_now(LagState.PAUSED, in_s=group.still_s)
    await group.seen(LagState.PAUSED, within_s=3 * VERDICT_S_MAX)
    await looks(group, 1)
    group.stops.is_away = False
    del consumer.stuck_at[0]
    group.is_now(LagState.OK)
    await group.seen(LagState.OK)
    await looks(group, 1)


async def worker_killed(group: ScenarioGroup) -> None:
    """kill -9 of the only worker; then a new one starts."""
    await _worker_gone(group, signal.SIGKILL)
    await ConsumerProcess(group).start()
    group.is_now(LagState.OK)
    await group.seen(LagState.OK)
    await looks(group, 2)


async def worker_frozen(group: ScenarioGroup) -> None:
    """SIGSTOP of the only worker for longer than its session; then it goes on."""
    worker = await _worker_gone(group, signal.SIGSTOP)
    worker.signal(signal.SIGCONT)
    group.is_now(LagState.OK)
    await group.seen(LagState.OK)
    await looks(group, 2)


async def _worker_gone(group: ScenarioGroup, how: signal.Signals) -> ConsumerProcess:
    worker = ConsumerProcess(group)
    group.is_now(LagState.OK)
    await worker.start()
    await joined(group)
    await group.produce(10)
    await drained(group)
    group.run(group.produce_steadily(10))
    await looks(group, 2)
    worker.signal(how)
    group.is_now(LagState.STOPPED)
    await group.seen(LagState.STOPPED)
    await looks(group, 1)
    return worker


async def broker_killed(group: ScenarioGroup) -> None:
    """kill -9 of the only broker; then it is started again."""
    group.is_now(LagState.OK)
    group.consume()
    await joined(group)
    await group.produce(10)
    await drained(group)
    await looks(group, 2)
    group.broker.kill()
    group.is_now(LagState.NO_DATA)
    await group.seen(LagState.NO_DATA)
    await looks(group, 1)
    await asyncio.to_thread(group.broker.start)
    group.is_now(LagState.OK)
    await group.seen(LagState.OK)
    await group.produce(10)
    await drained(group)
    await looks(group, 2)


async def monitor_killed(group: ScenarioGroup) -> None:
    """A monitor that has seen nothing judges a group that is stopped, and one that reads."""
    group.is_now(LagState.STOPPED)
    await group.produce(10)
    await group.seen(LagState.STOPPED)
    await group.stop_monitor()
    group.start_monitor()
    group.is_now(LagState.STOPPED)
    await group.seen(LagState.STOPPED)
    group.consume()
    group.run(group.produce_steadily(10))
    await drained(group)
    group.is_now(LagState.OK)
    await group.seen(LagState.OK)
    await group.stop_monitor()
    group.start_monitor()
    await looks(group, 3)


async def retention_overrun(group: ScenarioGroup) -> None:
    """Records are removed before the group has read them."""
    group.is_now(LagState.OK)
    consumer = group.consume()
    await joined(group)
    await group.produce(20)
    await drained(group)
    await consumer.leave()
    group.is_now(LagState.STOPPED)
    await group.produce(100)
    await group.seen(LagState.STOPPED)
    await group.remove_before(60)
    group.is_now(LagState.RETENTION_RISK)
    await group.seen(LagState.RETENTION_RISK)
    await looks(group, 2)


async def rebalance_storm(group: ScenarioGroup) -> None:
    """A second worker starts and ends again and again, and the first is too slow anyway."""
    group.is_now(LagState.OK)
    group.consume(records_per_s_max=10)
    await joined(group)
    group.run(group.produce_steadily(40))
    await looks(group, 2)
    group.is_now(LagState.REBALANCING)
    until_ms = unix_ms() + STORM_S * 1_000
    while unix_ms() < until_ms:
        other = group.consume(records_per_s_max=10)
        await asyncio.sleep(1.0)
        await other.leave()


async def empty_group(group: ScenarioGroup) -> None:
    """All members have left a group that has read everything; then a record arrives."""
    group.is_now(LagState.OK)
    consumer = group.consume()
    await joined(group)
    await group.produce(10)
    await drained(group)
    await consumer.leave()
    await looks(group, 5)
    await group.produce(1)
    group.is_now(LagState.STOPPED)
    await group.seen(LagState.STOPPED)
    await looks(group, 1)


async def never_committed(group: ScenarioGroup) -> None:
    """Nobody ever read the topic."""
    group.is_now(LagState.OK)
    await looks(group, 2)
    await group.produce(10)
    group.is_now(LagState.STOPPED)
    await group.seen(LagState.STOPPED)
    await looks(group, 2)


async def wrong_clock(group: ScenarioGroup) -> None:
    """The clock of one publisher is 50 minutes behind, and that of another 50 minutes ahead."""
    group.is_now(LagState.OK)
    group.consume(records_per_s_max=50)
    await joined(group)
    for ahead_ms in (-WRONG_MS, WRONG_MS, -WRONG_MS):
        await group.produce(150, ahead_ms=ahead_ms)
    await drained(group)
    await looks(group, 2)


async def aborted_transactions(group: ScenarioGroup) -> None:
    """The log ends with the records of an aborted transaction, which nobody ever reads; then all leave."""
    group.is_now(LagState.OK)
    consumer = group.consume()
    await joined(group)
    client = aiokafka_client(group.broker.kafka)
    async with AIOKafkaProducer(**client, transactional_id=group.group) as producer:
        await group.produce(10)
        await drained(group)
        await producer.begin_transaction()
        await group.produce(30, producer=producer)
        await producer.abort_transaction()
    await looks(group, 3)
    await consumer.leave()
    await looks(group, 5)


SCENARIOS: Mapping[str, Scenario] = {
    "idle topic": Scenario(idle),
    "burst": Scenario(burst),
    "stuck partition": Scenario(stuck_partition, partitions=3, still_s=STILL_S),
    "poison record": Scenario(poison_record, still_s=STILL_S),
    "dead-letter stop": Scenario(dead_letter_stop),
    "paused lane": Scenario(paused_lane, still_s=12.0),
    "worker killed": Scenario(worker_killed),
    "worker frozen": Scenario(worker_frozen),
    "broker killed": Scenario(broker_killed, kills_broker=True),
    "monitor killed": Scenario(monitor_killed),
    "retention overrun": Scenario(retention_overrun),
    "rebalance storm": Scenario(rebalance_storm),
    "empty group": Scenario(empty_group),
    "group that never committed": Scenario(never_committed),
    "producer with a wrong clock": Scenario(wrong_clock),
    "aborted transactions": Scenario(aborted_transactions),
}
