"""A program that runs in the background under a name; later commands find it by its pid file."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.local.errors import DaemonDiedError, StackError
from infra.local.paths import Home
from infra.local.processes import kernel
from infra.local.processes.interrupts import deferred_interrupts
from streams.metrics_file import remove_address

STOP_DEADLINE_S = 30.0
LAUNCH_DEADLINE_S = 20.0
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 64 * 1024
# A longer log becomes NAME.log.1, which replaces the one before it. SHUTTERLINE_LOG_BYTES_MAX overrides it.
LOG_BYTES_MAX = 10 * 1_048_576
# The end of a log is written within this time after its process has ended.
LOG_END_S = 5.0
# The kernel kills a process with the thread that started it: this one lasts, those of callers may not.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="starter")


class Daemon:
    """A named process of one stack, also one that an earlier command started.

    `run/NAME.pid` holds its pid and `run/NAME.started` the kernel's start time of that pid, so that
    a reused pid is never mistaken for it. The process leads a session of its own, so that a Ctrl-C
    in the terminal does not reach it, and everything that it forked can be ended with it.
    """

    def __init__(self, name: str, home: Home, *, dies_with_parent: bool = False) -> None:
        """`dies_with_parent`: the kernel kills the process when this one ends."""
        self.name = name
        self.home = home
        self._dies_with_parent = dies_with_parent
        self._child: subprocess.Popen[bytes] | None = None
        self._log_writer: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid while the process runs or is paused, else None."""
        recorded = self._recorded()
        if recorded is None:
            return None
        pid, started = recorded
        seen = kernel.look(pid)
        return pid if seen and seen.start_ticks == started and not seen.ended else None

    @property
    def log_file(self) -> Path:
        return self.home.log / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.home.run / f"{self.name}.pid"

    @property
    def metrics_file(self) -> Path:
        """Where the process itself writes the address of its metrics, if it has any."""
        return self.home.run / f"{self.name}.metrics"

    @property
    def metrics_address(self) -> str | None:
        """`host:port` of its metrics, once the process has written it."""
        try:
            return self.metrics_file.read_text().strip() or None
        except FileNotFoundError:
            return None

    def log_tail(self) -> str:
        """The last lines of its log."""
        if not self.log_file.exists():
            return ""
        with self.log_file.open("rb") as log:
            log.seek(-min(LOG_TAIL_BYTES, self.log_file.stat().st_size), os.SEEK_END)
            lines = log.read(LOG_TAIL_BYTES).decode(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def spawn(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Run `command` in `folder` under this name. Returns when its pid file is written.

        Raises:
            DaemonDiedError: It ended before that.
        """
        self._end_leftovers()
        self._end_log()
        self.home.make_private()
        remove_address(self.home.run, self.name)
        parent = os.getpid() if self._dies_with_parent else 0
        launch = [sys.executable, "-I", "-S", str(Path(__file__).parent / "launch.py")]
        launch += [str(self.home.run), self.name, str(parent)]
        with deferred_interrupts():
            with self._log() as log:
                self._child = _STARTER.submit(
                    subprocess.Popen,
                    [*launch, *command],
                    env=dict(environment),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                ).result()
            self._await_pid_file(self._child)

    def send(self, sent: signal.Signals) -> None:
        """Signal the process; nothing happens if it does not run."""
        pid = self.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, sent)

    def kill(self) -> None:
        """SIGKILL; returns when the process has ended. The pid file stays, as after a crash."""
        self.send(signal.SIGKILL)
        self.wait_gone(STOP_DEADLINE_S)

    def pause(self) -> None:
        """SIGSTOP: the process keeps its connections and does not answer."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def stop(self) -> None:
        """Stop the process and everything that it started; see `stop_all`."""
        stop_all([self])

    def wait_gone(self, deadline_s: float) -> bool:
        """Wait until it has ended; False when the deadline passed first."""
        pid = self.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    select.select([handle], [], [], deadline_s)
                finally:
                    os.close(handle)
        if self._child is not None:
            self._child.poll()
        return self.pid is None

    def forget(self) -> None:
        """Kill what still runs of it, and remove its files from the run folder."""
        self.kill()
        self._end_leftovers()
        self._end_log()
        remove_address(self.home.run, self.name)
        for suffix in ("pid", "started"):
            (self.home.run / f"{self.name}.{suffix}").unlink(missing_ok=True)

    def death(self) -> DaemonDiedError:
        """The error that says that it ended, with the end of its log."""
        self._end_log()
        return DaemonDiedError(
            f"{self.name} has ended. The last lines of {self.log_file}:\n{self.log_tail()}"
        )

    @contextmanager
    def _log(self) -> Iterator[int]:
        """Yield the end of a pipe whose other end a `log_writer` reads."""
        writer = Path(__file__).parent / "log_writer.py"
        reads, writes = os.pipe()
        try:
            self._log_writer = subprocess.Popen(
                [sys.executable, "-I", "-S", str(writer), str(self.log_file), str(_log_bytes_max())],
                stdin=reads,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            yield writes
        finally:
            os.close(reads)
            os.close(writes)

    def _end_log(self) -> None:
        """Wait until the log is complete, if this object has started the process."""
        if self._log_writer is not None:
            with suppress(subprocess.TimeoutExpired):
                self._log_writer.wait(LOG_END_S)

    def _recorded(self) -> tuple[int, int] | None:
        try:
            pid = self.pid_file.read_text()
            started = (self.home.run / f"{self.name}.started").read_text()
            return int(pid), int(started)
        except (FileNotFoundError, ValueError):
            return None

    def _await_pid_file(self, child: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + LAUNCH_DEADLINE_S
        while (self._recorded() or (0, 0))[0] != child.pid:
            if child.poll() is not None or time.monotonic() > deadline:
                child.kill()
                child.wait()
                raise self.death()
            time.sleep(0.002)

    def _end_leftovers(self) -> None:
        """Kill what a dead process of this name left running in its session.

        The kernel does not reuse a pid while a process group has it as its id. So the group belongs to the
        dead process, unless a process that started at another time has the pid now.
        """
        recorded = self._recorded()
        if recorded is None or self.pid is not None:
            return
        pid, started = recorded
        seen = kernel.look(pid)
        if seen is None or seen.start_ticks == started:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _log_bytes_max() -> int:
    """The size of a full log.

    Raises:
        StackError: SHUTTERLINE_LOG_BYTES_MAX is no positive number.
    """
    text = os.environ.get("SHUTTERLINE_LOG_BYTES_MAX", str(LOG_BYTES_MAX))
    if not text.isdecimal() or not int(text):
        raise StackError(f"SHUTTERLINE_LOG_BYTES_MAX is {text!r}, but must be a positive number of bytes")
    return int(text)


def stop_all(daemons: Sequence[Daemon], deadline_s: float = STOP_DEADLINE_S) -> None:
    """Ask all of them to end at the same time, wait, and kill those that have not ended by the deadline."""
    for daemon in daemons:
        daemon.send(signal.SIGTERM)
        daemon.send(signal.SIGCONT)  # A paused process would never see the first signal.
    deadline = time.monotonic() + deadline_s
    for daemon in daemons:
        daemon.wait_gone(max(0.0, deadline - time.monotonic()))
        daemon.forget()
