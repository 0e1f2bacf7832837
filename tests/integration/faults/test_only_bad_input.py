"""Publishers send a partition nothing but bad events: it stops and says why. Nothing is lost or doubled."""

import asyncio
import signal
import time
from collections.abc import Sequence
from typing import Any

import httpx
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner

from bench.traffic.events import follows, fresh_photo_ids, fresh_users, photo_of
from bench.traffic.readers import client_of, feed_of
from bench.traffic.waiting import wait_until
from infra.local.deployment import Deployment
from schemas.events import FUTURE_MS_MAX
from schemas.ids import PhotoId, UserId
from shutterline import app as command_line
from streams.kafka.producing.producer import Outgoing
from streams.stopping import STOP_SIGNALS
from tests.integration.conftest import DeploymentFactory

# None of them has 90 % of the dead letters, so none is set aside.
SOURCES = ("/apps/one", "/apps/two", "/apps/three")
# The clocks of these publishers are ahead. After so many seconds their events are no longer from the future.
VALID_AFTER_S = 12
GOOD, BAD, LETTERS = 10, 130, 100
PARTITION = 0
VERDICT_S_MAX = 10.0
Json = dict[str, Any]


def test_after_the_fix_resume_and_replay_bring_every_event_in_once(deploy: DeploymentFactory) -> None:
    """100 of 130 bad uploads become dead letters, and 30 wait with the good ones behind them. Then `resume`
    brings these in, and `replay` the others: feeds, counts and edges are as if nothing had been wrong."""
    deployment = deploy()
    deployment.start_all(monitor=True)
    reader, author = fresh_users(2)
    photos = fresh_photo_ids(2 * GOOD + BAD)
    before, early = photos[:GOOD], photos[GOOD : GOOD + BAD]
    asyncio.run(handled(deployment, follows(deployment, [(reader, author)])))
    valid_s = time.time() + VALID_AFTER_S

    ahead_us = int(valid_s * 1_000_000) + FUTURE_MS_MAX * 1_000
    records = [
        deployment.outgoing(
            photo_of(photo, author),
            time_us=ahead_us if photo in early else None,
            source=SOURCES[number % len(SOURCES)],
            partition=PARTITION,
        )
        for number, photo in enumerate(photos)
    ]
    asyncio.run(deployment.publish(records))
    wait_until("it is POISON", lambda: uploads_lag(deployment)["state"] == "POISON", VERDICT_S_MAX)
    assert_verdict(deployment)
    assert newest_first(before) == asyncio.run(feed(deployment, reader))

    wait_until("the events are valid", lambda: time.time() >= valid_s)
    assert "1 partitions" in operator(deployment, "resume", f"{deployment.namespace}check")
    asyncio.run(deployment.drained())
    assert newest_first([*before, *photos[GOOD + LETTERS :]]) == asyncio.run(feed(deployment, reader))
    rehearsed = operator(deployment, "dead-letters", "replay")
    assert f"{LETTERS} of uploads with from_the_future would be replayed" in rehearsed
    operator(deployment, "dead-letters", "replay", "--execute")
    asyncio.run(deployment.drained())

    assert newest_first(photos) == asyncio.run(feed(deployment, reader))
    assert len(photos) == asyncio.run(photo_count(deployment, author))
    assert "difference 0 over 2 users" in operator(deployment, "check")
    assert (len(photos), LETTERS) == tuple(
        deployment.metric(f'shutterline_events_total{{outcome="{outcome}",topic="uploads"}}')
        for outcome in ("handled", "dead_letter")
    )
    assert len(photos) + LETTERS == records_in(deployment, "uploads")
    assert LETTERS == records_in(deployment, "uploads-dlq")
    wait_until("it is OK", lambda: uploads_lag(deployment)["state"] == "OK", VERDICT_S_MAX)


def assert_verdict(deployment: Deployment) -> None:
    """The report and the command say what is wrong, how much waits, and what to do; the others are OK."""
    topic = uploads_lag(deployment)
    reason = (
        f"partition {PARTITION}: it waits for an operator: 100 dead letters in a row (limit 100),"
        " the newest because of from_the_future;"
        f" when the cause is removed: shutterline resume {deployment.namespace}check"
    )
    assert (reason, "docs/runbooks/consumer-poison.md") == (topic["reason"], topic["runbook"])
    assert GOOD + BAD - LETTERS == topic["lag_messages"]
    assert ["POISON", *["OK"] * 5] == [row["state"] for row in topic["partitions"]]
    worst = operator(deployment, "lag").splitlines()[0]
    assert worst.startswith("POISON")
    assert worst.endswith(f"{reason} (docs/runbooks/consumer-poison.md)")


def uploads_lag(deployment: Deployment) -> Json:
    response = httpx.get(f"{deployment.settings.api}/ops/lag", timeout=5.0)
    assert response.status_code == 200, response.text
    [topic] = [
        topic
        for group in response.json()["groups"]
        for topic in group["topics"]
        if topic["topic"] == f"{deployment.namespace}uploads"
    ]
    return dict(topic)


def operator(deployment: Deployment, *arguments: str) -> str:
    """Run a command as an operator does, but in this process; returns what it shows."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    environment = {**deployment.environment, "COLUMNS": "400", "TERM": "dumb"}
    try:
        result = CliRunner().invoke(command_line.app, list(arguments), env=environment)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert result.exit_code == 0, result.output
    return result.stdout


async def handled(deployment: Deployment, records: Sequence[Outgoing]) -> None:
    await deployment.publish(records)
    await deployment.drained()


async def feed(deployment: Deployment, reader: UserId) -> list[PhotoId]:
    async with client_of(deployment) as client:
        return await feed_of(client, reader)


async def photo_count(deployment: Deployment, author: UserId) -> int:
    async with client_of(deployment) as client:
        headers = {"Authorization": f"Bearer {client.token_of(author)}"}
        async with client.http.get(f"{client.api}/v1/users/{author}", headers=headers) as response:
            return int((await response.json())["photos"])


def records_in(deployment: Deployment, topic: str) -> int:
    """Return how many records the topic has in this partition."""
    consumer = Consumer({"bootstrap.servers": deployment.settings.kafka, "group.id": "test", "log_level": 0})
    try:
        partition = TopicPartition(f"{deployment.namespace}{topic}", PARTITION)
        return int(consumer.get_watermark_offsets(partition, timeout=5.0)[1])
    finally:
        consumer.close()


def newest_first(photos: Sequence[PhotoId]) -> list[PhotoId]:
    return sorted(photos, reverse=True)
