"""A process ends with what ended one of its parts."""

import asyncio
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from streams import retrying
from streams.errors import StoreUnavailable
from streams.jobs.clocks import Clocks
from streams.kafka.consuming.app import make_app
from streams.kafka.consuming.progress import Progress
from streams.kafka.producing.sizes import sizes_once_kafka_answers
from streams.settings import ClockSettings, ConsumerSettings
from streams.worker.parts import Wired
from streams.worker.process import Failure, Process
from tests.worlds.kafka import LOCAL
from topics.sizes import TopicMismatch


async def test_a_worker_waits_for_kafka_but_not_for_topics_of_another_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broker that does not answer yet is no mismatch."""
    monkeypatch.setattr(retrying, "START_WAIT_FIRST_S", 0.001)
    away = StoreUnavailable("kafka", "sizes", "down")
    producer = AsyncMock()
    producer.compare_sizes.side_effect = [away, away, LOCAL, away, TopicMismatch("topic fanout has 8")]

    assert LOCAL == await sizes_once_kafka_answers(producer, "t.")
    with pytest.raises(TopicMismatch):
        await sizes_once_kafka_answers(producer, "t.")


async def test_a_consumer_that_crashed_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust goes on without its consumer, so no record would be handled until the watchdog sees that."""
    app = make_app(
        ConsumerSettings(run_dir=tmp_path),
        "check",
        {"t": range(1)},
        poll_records_max=3,
        buffer_records_max=15,
    )
    monkeypatch.setattr(app, "start", AsyncMock())  # No broker is needed.
    monkeypatch.setattr(app, "stop", AsyncMock())
    cause = ValueError("a record that nobody can read")
    await app._fetcher.crash(cause)
    app.consumer._thread.thread_loop.close()
    process = Process([Wired(apps=[app])], Progress(), Failure(), Clocks(ClockSettings(), {}))

    with pytest.raises(RuntimeError, match="the consumer of check has crashed") as caught:
        async with asyncio.timeout(10):
            await process.run()

    assert caught.value.__cause__ is cause
