"""The monitor goes on whatever is away, and shows nothing old as fresh."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from prometheus_client import REGISTRY

from bench.traffic.waiting import eventually
from streams.core.lag.history import LagHistory
from streams.core.lag.rebalances import RebalanceLog
from streams.core.lag.report import Json
from streams.core.overload.backlog import LaneBacklog
from streams.core.overload.switches import Switch, SwitchState
from streams.errors import StoreUnavailable
from streams.monitor import metrics
from streams.monitor.groups import pipeline_groups
from streams.monitor.monitor import LagMonitor
from streams.monitor.sampling import Sampler
from streams.ports.coordination import Stop
from streams.ports.groups import CoordinationStores
from streams.settings import Settings
from streams.stores.memory.coordination import (
    MemoryHandledDeadLetters,
    MemoryShardLeases,
    MemoryStoppedPartitions,
    MemoryStuckPartitions,
    MemorySwitches,
    MemoryWorkerReports,
)
from tests.unit.streams.monitor.test_sampling import BULK, BULK_LOG, NOW_MS, Broker
from tests.worlds.kafka import LOCAL
from topics.catalogue import Lane


class World:
    """A monitor over a broker and stores in memory, whose loops a test runs step by step."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.now_s = 100.0
        self.cassandra_away = False
        self.deliveries = 1_234
        self.reads = 0
        self.stores = CoordinationStores(
            stopped_partitions=MemoryStoppedPartitions(),
            stuck_partitions=MemoryStuckPartitions(lambda: NOW_MS),
            handled_dead_letters=MemoryHandledDeadLetters(lambda: NOW_MS),
            switches=MemorySwitches(),
            worker_reports=MemoryWorkerReports(lambda: NOW_MS),
            shard_leases=MemoryShardLeases(1),
        )
        self.monitor = LagMonitor(
            groups=lambda: pipeline_groups("t.", LOCAL, still_s=60, renditions=Settings()),
            sampler=Sampler(self.broker, self.broker, self.now_ms, lambda: self.now_s),
            backlog=self,
            history=LagHistory(step_s=10, columns_max=60),
            rebalances=RebalanceLog(50),
            interval_s=0.001,
            stale_s=10.0,
            unowned_s=1.5,
            clock_ms=self.now_ms,
            clock_s=lambda: self.now_s,
        )

    def now_ms(self) -> int:
        return NOW_MS + int(self.now_s * 1_000)

    @property
    def committed(self) -> Mapping[int, int]:
        return {}

    async def read(self) -> Mapping[Lane, LaneBacklog]:
        self.reads += 1
        if "backlog" in self.broker.away:
            raise StoreUnavailable("kafka", "backlog", "down")
        return {Lane.NORMAL: LaneBacklog(deliveries=0), Lane.BULK: LaneBacklog(self.deliveries, 9)}

    async def after(self, seconds: float) -> Json:
        """Take a sample so much later; the other sources have been read at that time, if they are there."""
        self.now_s += seconds
        reads = self.reads
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {"fanout": self.monitor.watch_backlog}
        if not self.cassandra_away:
            loops["cassandra"] = partial(self.monitor.watch_stored, self.stores)
        for source, loop in loops.items():
            task = asyncio.create_task(loop())
            is_read = partial(self._is_read, source, reads)
            await eventually(f"{source} is read", is_read)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.monitor.refresh()
        report = self.monitor.report()
        assert report is not None
        return report

    def _is_read(self, source: str, reads: int) -> bool:
        return self.monitor.ages_s()[source] == 0 or ("backlog" in self.broker.away and self.reads > reads)


@pytest.fixture
def world() -> World:
    return World()


def bulk_of(report: Json) -> Json:
    [group] = [group for group in report["groups"] if group["group"] == BULK]
    return dict(group)


def states_of(report: Json) -> set[str]:
    topics = [topic for group in report["groups"] for topic in group["topics"]]
    rows = [*report["groups"], *topics, *(row for topic in topics for row in topic["partitions"])]
    return {row["state"] for row in rows}


async def test_before_the_first_sample_there_is_no_report(world: World) -> None:
    """Nor after a look at brokers that do not respond."""
    assert world.monitor.report() is None
    world.broker.away = {"bounds"}
    await world.monitor.refresh()

    assert world.monitor.report() is None


async def test_a_report_has_the_lag_the_backlog_and_the_switches(world: World) -> None:
    world.broker.end_of[BULK_LOG] = 9
    await world.stores.switches.move(
        SwitchState(switch=Switch.BREAKER, is_on=True, since_ms=NOW_MS, measured=5_000_001, version=1)
    )
    report = await world.after(2)
    assert "2027-01-15T08:01:42.000000Z" == report["sampled_at"]
    assert {
        "breaker": {
            "state": "open",
            "since": "2027-01-15T08:00:00.000000Z",
            "reason": "the breaker opens: 5,000,001 deliveries wait, so all posts are deferred",
            "backlog_deliveries": 1_234,
        },
        "shedding": {"active": False, "since": None, "lag_records": 9},
    } == report["overload"]

    [topic] = bulk_of(report)["topics"]
    assert ("t.fanout", "bulk", 9, 1_234) == (
        topic["topic"],
        topic["lane"],
        topic["lag_messages"],
        topic["backlog_deliveries"],
    )
    assert {None} == {
        topic["backlog_deliveries"]
        for group in report["groups"]
        if group["group"] == "t.check"
        for topic in group["topics"]
    }


async def test_while_the_broker_is_away_every_figure_is_null_and_the_time_is_of_the_last_sample(
    world: World,
) -> None:
    """At once, not when the sample is old; and it comes back."""
    before = await world.after(2)
    world.broker.away = {"bounds"}
    away = await world.after(2)
    assert {"NO-DATA"} == states_of(away)
    assert before["sampled_at"] == away["sampled_at"]
    assert "the brokers do not respond" in bulk_of(away)["reason"]
    assert {None} == {row["end"] for topic in bulk_of(away)["topics"] for row in topic["partitions"]}
    assert {None} == set(away["overload"]["breaker"].values())

    world.broker.away = set()
    back = await world.after(2)
    assert {"OK"} == states_of(back)
    assert back["sampled_at"] > before["sampled_at"]


async def test_a_group_whose_coordinator_is_away_is_the_only_one_without_data(world: World) -> None:
    await world.after(2)
    world.broker.away = {BULK}
    report = await world.after(2)

    assert ["NO-DATA"] == [group["state"] for group in report["groups"] if group["state"] != "OK"]
    assert "NO-DATA" == bulk_of(report)["state"]


async def test_a_report_that_has_grown_old_is_not_shown_as_fresh(world: World) -> None:
    """The loop hangs in a client."""
    await world.after(2)
    world.now_s += 9
    report = world.monitor.report()
    assert report is not None
    assert {"OK"} == states_of(report)
    world.now_s += 2

    report = world.monitor.report()
    assert report is not None
    assert {"NO-DATA"} == states_of(report)
    assert "the monitor has had no sample for 11 s" == bulk_of(report)["reason"]


async def test_while_cassandra_is_away_lag_is_known_and_overload_is_not(world: World) -> None:
    """What was read last counts while it is fresh."""
    world.broker.end_of[BULK_LOG] = 9
    await world.stores.stopped_partitions.stop(
        Stop(group=BULK, topic=BULK_LOG[0], partition=BULK_LOG[1], position=0, reason="limit", since_ms=7)
    )
    stopped = await world.after(2)
    assert "POISON" == bulk_of(stopped)["state"]
    assert f"limit; when the cause is removed: shutterline resume {BULK}" in bulk_of(stopped)["reason"]
    assert "docs/runbooks/consumer-poison.md" == bulk_of(stopped)["runbook"]
    world.cassandra_away = True
    assert "POISON" == bulk_of(await world.after(8))["state"]

    later = await world.after(8)
    assert {"state": None, "since": None, "reason": None, "backlog_deliveries": 1_234} == later["overload"][
        "breaker"
    ]
    assert "POISON" != bulk_of(later)["state"]
    assert 9 == bulk_of(later)["topics"][0]["lag_messages"]


async def test_without_a_backlog_deliveries_are_unknown(world: World) -> None:
    world.broker.away = {"backlog"}
    report = await world.after(2)

    assert report["overload"]["breaker"]["backlog_deliveries"] is None
    assert bulk_of(report)["topics"][0]["backlog_deliveries"] is None


async def test_a_partition_where_workers_ended_twice_is_poison(world: World) -> None:
    """The counts are read once it stands still, and count at its commit alone."""
    world.broker.end_of[BULK_LOG], world.broker.commit_of[BULK, BULK_LOG] = 9, 4
    for _ in range(2):
        await world.stores.stuck_partitions.ended_at(BULK, *BULK_LOG, 4)
    states = [bulk_of(await world.after(4))["state"] for _ in range(5)]
    assert "POISON" == states[-1]

    world.broker.commit_of[BULK, BULK_LOG] = 5
    assert "POISON" != bulk_of(await world.after(4))["state"]


async def test_metrics_show_what_is_known_and_nothing_else(world: World) -> None:
    world.broker.end_of[BULK_LOG] = 9
    metrics.show(await world.after(2), world.monitor.ages_s())
    labels = {"group": BULK, "topic": BULK_LOG[0], "partition": str(BULK_LOG[1])}
    full = {**labels, "lane": "bulk"}
    state = {"group": BULK, "topic": BULK_LOG[0], "lane": "bulk"}
    value = REGISTRY.get_sample_value
    assert 9 == value("shutterline_consumer_lag_messages", {**full, "layer": "total"})
    assert 9 == value("kafka_consumergroup_group_lag", labels)
    assert 1 == value("shutterline_retention_used_ratio", full)
    assert value("shutterline_consumer_lag_seconds", full) == value(
        "kafka_consumergroup_group_lag_seconds", labels
    )
    assert 1 == value("shutterline_consumer_state", {**state, "state": "OK"})
    assert 0 == value("shutterline_consumer_state", {**state, "state": "STOPPED"})
    assert 0 == value("shutterline_monitor_sample_age_seconds", {"source": "kafka"})
    assert value("shutterline_consumer_time_to_drain_seconds", full) is None

    world.broker.away = {"bounds"}
    metrics.show(await world.after(2), world.monitor.ages_s())
    assert value("shutterline_consumer_lag_messages", {**full, "layer": "total"}) is None
    assert 1 == value("shutterline_consumer_state", {**state, "state": "NO-DATA"})
    assert 2 == value("shutterline_monitor_sample_age_seconds", {"source": "kafka"})


async def test_the_loop_samples_again_and_again(world: World) -> None:
    task = asyncio.create_task(world.monitor.run())
    await eventually("three samples", lambda: world.broker.calls.count("members") >= 3)
    task.cancel()
