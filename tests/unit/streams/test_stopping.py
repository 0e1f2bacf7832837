"""Law: SIGTERM ends a process within its bound, at any moment and whatever the process is doing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30.0
BOUND_S = 1

PROGRAM = """
import asyncio, sys, threading, uvloop
from streams.stopping import run_until_signal
from streams.threads import in_thread

async def orderly():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("cleaned up", flush=True)

async def connecting():
    await in_thread(threading.Event().wait)

async def blocked():
    threading.Event().wait()

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def main(work):
    print("started", flush=True)
    await work()

print("", end="", flush=True)
uvloop.run(run_until_signal(main(globals()[sys.argv[1]]), within_s=int(sys.argv[2])))
"""


def ended_by(number: signal.Signals, work: str, *, within_s: int) -> tuple[int, str, str]:
    """Run the program's `work`, signal it once it runs; returns its status, output and errors."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, work, str(within_s)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=DEADLINE_S)
        return process.returncode, output, errors
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_can_ends_orderly(number: signal.Signals) -> None:
    """The work is cancelled and cleans up; the status is 0."""
    assert ended_by(number, "orderly", within_s=3_600) == (0, "cleaned up\n", "")


def test_a_blocking_call_of_a_driver_does_not_keep_the_process() -> None:
    """The call never returns in its thread, and the process ends without it."""
    assert ended_by(signal.SIGTERM, "connecting", within_s=3_600) == (0, "", "")


@pytest.mark.parametrize("work", ["blocked", "stubborn"])
def test_a_process_that_cannot_end_orderly_ends_anyway(work: str) -> None:
    """A blocked event loop, or work that does not end; the status is 1, and stderr says where it was."""
    status, _, errors = ended_by(signal.SIGTERM, work, within_s=BOUND_S)

    assert status == 1
    assert "Timeout" in errors
    if work == "blocked":
        assert "in blocked" in errors
