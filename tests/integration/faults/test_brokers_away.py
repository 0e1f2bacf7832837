"""Consumers that start while the brokers are away."""

import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path

import faust
import pytest

from bench.traffic.events import follows
from bench.traffic.slow_proxy import SlowProxy
from bench.traffic.waiting import eventually
from infra.local import ports
from infra.local.stack import Stack
from schemas.envelope import Record
from schemas.ids import UserId
from streams.kafka.consuming.agent import Delivered, add_agent
from streams.kafka.consuming.app import make_app
from streams.settings import ConsumerSettings
from tests.integration.conftest import DeploymentFactory
from tests.worlds.kafka import LOCAL
from topics.catalogue import FOLLOWS

STOP_S_MAX = 5.0


def app_of(kafka: int, namespace: str, run_dir: Path, handled: list[Record]) -> faust.App:
    """An app that puts the records of `follows` into `handled`."""
    topic = FOLLOWS.named(namespace)
    app = make_app(
        ConsumerSettings(kafka=f"127.0.0.1:{kafka}", run_dir=run_dir, process="w"),
        f"{namespace}away",
        {topic: LOCAL.range_of(FOLLOWS)},
        poll_records_max=3,
        buffer_records_max=15,
    )

    async def handle(delivered: Delivered) -> None:
        handled.extend(delivered.records)

    def fatal(error: BaseException) -> None:
        raise error

    add_agent(app, "away", topic, handle, batch_records_max=3, fatal=fatal)
    return app


async def tries(caplog: pytest.LogCaptureFixture, count: int) -> None:
    def logged() -> bool:
        return sum("still starting" in message for message in caplog.messages) >= count

    await eventually(f"{count} tries", logged)


async def test_an_app_starts_when_the_brokers_are_back(
    deploy: DeploymentFactory, stack: Stack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Brokers that go away between the worker's own wait and the start of its apps do not end it."""
    caplog.set_level(logging.WARNING)
    away = ports.unused([])
    deployment, handled = deploy(), list[Record]()
    app = app_of(away, deployment.namespace, tmp_path, handled)
    with ExitStack() as closing:
        starting = asyncio.create_task(app.start())
        try:
            await tries(caplog, 2)
            assert not starting.done()
            closing.enter_context(SlowProxy(stack.server("kafka").port, listen=away))
            await starting
            await deployment.publish(follows(deployment, [(UserId(1), UserId(2))]))
            await eventually("a record is handled", lambda: handled)
        finally:
            await app.stop()


async def test_an_app_whose_brokers_are_away_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It stops between two tries, and nothing of it is left."""
    caplog.set_level(logging.WARNING)
    app = app_of(ports.unused([]), "t.", tmp_path, [])
    starting = asyncio.create_task(app.start())
    await tries(caplog, 2)
    starting.cancel()
    async with asyncio.timeout(STOP_S_MAX):
        await app.stop()
    # The thread of the consumer was not started yet, so it has not closed its loop.
    app.consumer._thread.thread_loop.close()
