"""Several processes of one command: when one of them ends, all do."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from api.processes import listening_sockets, run_together, when_parent_ends
from bench.traffic.waiting import wait_until
from infra.local import ports
from streams.settings import Settings
from streams.stopping import on_stop_signal

FOLDER = "TEST_FOLDER"
MAIN = "from tests.unit.api import test_processes; test_processes.main()"
COUNT = 3


def main() -> None:
    """What the parent runs."""
    sys.exit(run_together(COUNT, member))


def member(number: int) -> None:
    """What each process runs: it writes its pid, and a file when it ends in order."""
    folder = Path(os.environ[FOLDER])

    async def run() -> None:
        stopped = asyncio.Event()
        on_stop_signal(stopped.set, within_s=30)
        when_parent_ends(stopped.set)
        (folder / f"{number}.new").write_text(str(os.getpid()))
        (folder / f"{number}.new").rename(folder / f"{number}.pid")
        await stopped.wait()
        (folder / f"{number}.ended").touch()

    asyncio.run(run())


@contextmanager
def _running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    parent = subprocess.Popen([sys.executable, "-c", MAIN], env={**os.environ, FOLDER: str(folder)})
    try:
        yield parent
    finally:
        parent.kill()
        parent.wait()


def _started(folder: Path) -> list[psutil.Process]:
    """Return the processes in the order of their numbers, once all of them run."""
    files = [folder / f"{number}.pid" for number in range(1, COUNT + 1)]
    wait_until("all have started", lambda: all(file.exists() for file in files))
    return [psutil.Process(int(file.read_text())) for file in files]


def _ended(processes: list[psutil.Process]) -> None:
    wait_until("all have ended", lambda: not any(process.is_running() for process in processes))


def _in_order(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.ended"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """The parent ends last, with status 0."""
    with _running(tmp_path) as parent:
        processes = _started(tmp_path)
        parent.send_signal(number)

        assert parent.wait() == 0
        assert _in_order(tmp_path) == ["1", "2", "3"]
        _ended(processes)


def test_one_that_dies_ends_the_others_in_order(tmp_path: Path) -> None:
    """The status is not 0, so whatever supervises the parent starts it again."""
    with _running(tmp_path) as parent:
        processes = _started(tmp_path)
        processes[1].kill()

        assert parent.wait() == 1
        assert _in_order(tmp_path) == ["1", "3"]
        _ended(processes)


def test_all_end_in_order_if_the_parent_is_killed(tmp_path: Path) -> None:
    """Nobody keeps serving with the port that the next parent needs."""
    with _running(tmp_path) as parent:
        processes = _started(tmp_path)
        parent.kill()

        _ended(processes)
        assert _in_order(tmp_path) == ["1", "2", "3"]


@pytest.mark.parametrize(("bound", "part"), [(512, 128), (7, 1), (3, 1)])
def test_each_process_has_an_equal_part_of_each_bound(bound: int, part: int) -> None:
    """Those that are counted in Redis stay as they are."""
    settings = Settings(requests_in_flight_max=bound, process="api")

    member = settings.of_member(2, 4)

    assert member.requests_in_flight_max == part
    assert member.process == "api-2"
    assert member.rebuilds_per_s_max == settings.rebuilds_per_s_max


def test_no_bound_is_no_bound_for_each_process() -> None:
    assert Settings(connections_per_address_max=0).of_member(1, 4).connections_per_address_max == 0


def test_processes_share_a_port_and_have_one_each() -> None:
    """Another process with the same number has no place: its own port is in use."""
    port = ports.unused(())
    sockets = [*listening_sockets("127.0.0.1", port, 1), *listening_sockets("127.0.0.1", port, 2)]
    try:
        assert [one.getsockname()[1] - port for one in sockets] == [0, 1, 0, 2]
        with pytest.raises(OSError, match="in use"):
            listening_sockets("127.0.0.1", port, 2)
    finally:
        for one in sockets:
            one.close()
