"""The lag monitor on real servers: exact figures, and a verdict within seconds."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx

from bench.traffic.waiting import eventually
from infra.local import ports
from infra.local.deployment import Deployment
from infra.local.servers.probes import http_body
from schemas.facts import UserFollowed
from schemas.ids import UserId
from shutterline.client.feed import feed_client
from shutterline.tokens import tokens_for
from streams.kafka.offsets.offsets import Offsets
from topics.catalogue import FOLLOWS

FOLLOWS_WAITING = 40
# The monitor looks every 2 s. A verdict needs two samples.
VERDICT_S_MAX = 10.0
CANARY_POSTS_MIN = 3
Json = dict[str, Any]


async def lag_of(deployment: Deployment) -> Json:
    async with httpx.AsyncClient(base_url=deployment.settings.api, timeout=5.0) as client:
        response = await client.get("/ops/lag")
    assert response.status_code == 200, response.text
    report: Json = response.json()
    return report


async def workers_of(deployment: Deployment) -> list[Json]:
    """What the workers say of themselves, as the monitor has it."""
    async with httpx.AsyncClient(base_url=f"http://{deployment.settings.monitor}", timeout=5.0) as client:
        overview: Json = (await client.get("/overview")).json()
    return overview["workers"] or []


def states_of(report: Json) -> set[str]:
    """The states of all groups, of all their topics and of all their partitions."""
    topics = [topic for group in report["groups"] for topic in group["topics"]]
    rows = [*report["groups"], *topics, *(row for topic in topics for row in topic["partitions"])]
    return {row["state"] for row in rows}


def topic_of(report: Json, group: str, topic: str) -> Json:
    [found] = [
        each
        for known in report["groups"]
        if known["group"] == group
        for each in known["topics"]
        if each["topic"] == topic
    ]
    return dict(found)


async def becomes(
    deployment: Deployment, is_so: Callable[[Json], bool], *, within_s: float = VERDICT_S_MAX
) -> Json:
    """Wait until the report is so, and return it."""
    deadline_s = time.monotonic() + within_s
    while True:
        report = await lag_of(deployment)
        if is_so(report):
            return report
        assert time.monotonic() < deadline_s, report
        await asyncio.sleep(0.2)


async def test_the_lag_of_a_group_from_idle_to_stopped_and_back(shared: Deployment) -> None:
    """An idle system is OK. When its worker leaves and records wait, the figures are those of the broker, and
    the group is STOPPED within seconds; a new worker makes it OK. Without the monitor nothing is known."""
    deployment = shared
    follows, check = FOLLOWS.named(deployment.namespace), f"{deployment.namespace}check"
    deployment.start_monitor()

    idle = await becomes(
        deployment,
        lambda report: (
            {"OK"} == states_of(report)
            and report["overload"]["breaker"]["state"] == "closed"
            and all(row["owner"] for row in topic_of(report, check, follows)["partitions"])
        ),
    )
    assert {f"{deployment.namespace}worker-1"} == {
        row["owner"] for row in topic_of(idle, check, follows)["partitions"]
    }
    assert 0 == topic_of(idle, check, follows)["lag_messages"]

    async def has_groups() -> bool:
        return [4] == [len(worker["groups"]) for worker in await workers_of(deployment)]

    await eventually("the worker reports its four groups", has_groups)
    [worker] = await workers_of(deployment)
    assert (f"{deployment.namespace}worker-1", "OK", 0) == (
        worker["worker"],
        worker["state"],
        worker["restarts"],
    )

    deployment.stack.stop_process(f"{deployment.namespace}worker-1")
    await deployment.publish(
        deployment.outgoing(UserFollowed(follower_id=UserId(number), followee_id=UserId(1_000)))
        for number in range(1, FOLLOWS_WAITING + 1)
    )
    stopped = await becomes(deployment, lambda report: topic_of(report, check, follows)["state"] == "STOPPED")
    topic = topic_of(stopped, check, follows)
    assert FOLLOWS_WAITING == topic["lag_messages"]
    assert 0 < topic["lag_seconds"] < VERDICT_S_MAX
    assert {None} == {row["owner"] for row in topic["partitions"]}
    await assert_exact(deployment, check, topic)
    metrics = http_body(deployment.settings.monitor, "/metrics")
    assert metrics is not None
    assert FOLLOWS_WAITING == sum(
        float(line.rsplit(" ", 1)[1])
        for line in metrics.splitlines()
        if line.startswith(f'kafka_consumergroup_group_lag{{group="{check}"')
    )

    async def is_gone() -> bool:
        return not await workers_of(deployment)

    await eventually("the worker that ended in order is gone", is_gone)

    deployment.start_worker("worker-2")
    await becomes(
        deployment,
        lambda report: {"OK"} == states_of(report) and topic_of(report, check, follows)["lag_messages"] == 0,
        within_s=20.0,
    )

    deployment.stack.process(f"{deployment.namespace}monitor").kill()
    unknown = await becomes(deployment, lambda report: {"NO-DATA"} == states_of(report))
    assert topic_of(unknown, check, follows)["lag_messages"] is None
    assert unknown["sampled_at"] == (await lag_of(deployment))["sampled_at"] > stopped["sampled_at"]


async def test_the_canary_sees_its_posts_and_deletes_them(shared: Deployment) -> None:
    """None fails, and the feed is empty afterwards."""
    shared.start_monitor(
        "monitor-2",
        SHUTTERLINE_CANARY_INTERVAL_MS="1000",
        SHUTTERLINE_MONITOR=f"127.0.0.1:{ports.unused(())}",
    )
    posts = "shutterline_canary_posts_total"

    async def has_seen() -> bool:
        return shared.metric(f'{posts}{{outcome="seen"}}', "monitor-2") >= CANARY_POSTS_MIN

    await eventually("the canary has seen its posts", has_seen)
    assert CANARY_POSTS_MIN <= shared.metric("shutterline_canary_freshness_seconds_count", "monitor-2")
    assert 0 == shared.metric(f'{posts}{{outcome="failed"}}', "monitor-2")

    shared.stack.stop_process(f"{shared.namespace}monitor-2")
    await shared.drained()
    settings = shared.settings
    async with feed_client(settings, tokens_for(settings)) as client:
        walk = await client.walk(UserId(settings.canary_user), depth=100)
    # It may have ended between the post and its deletion.
    assert len(walk.ids) <= 1


async def assert_exact(deployment: Deployment, group: str, topic: Json) -> None:
    """Compare commits, ends and lag of each partition with what the broker says."""
    offsets = Offsets(deployment.settings)
    partitions = [row["partition"] for row in topic["partitions"]]
    commits = await offsets.committed(group, topic["topic"], partitions)
    ends = await offsets.ends([(topic["topic"], partition) for partition in partitions])
    for row in topic["partitions"]:
        partition = row["partition"]
        assert ends[topic["topic"], partition] == row["end"]
        assert commits.get(partition) == row["committed"]
        assert row["end"] - (row["committed"] or 0) == row["lag_messages"]
