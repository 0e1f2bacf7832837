"""A process ends with what ended one of its parts."""

import asyncio
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from streams.jobs.clocks import Clocks
from streams.kafka.consuming.app import make_app
from streams.kafka.consuming.progress import Progress
from streams.settings import ClockSettings, ConsumerSettings
from streams.worker.parts import Wired
from streams.worker.process import Failure, Process


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
