"""What the kernel knows of a process."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Seen:
    """One look at a process. A pid is reused; pid and `start_ticks` together name one process for good.

    The facts come from /proc/PID/stat, because psutil is not exact enough: it computes the start
    time from the clock, which can be set, and it calls a killed process a zombie while its threads
    still run.
    """

    start_ticks: int
    state: str  # One letter of proc(5): R, S, D, T (stopped), Z (ended, its parent has not collected it).
    threads: int

    @property
    def ended(self) -> bool:
        # The first thread of a killed Java program ends before the others, which still hold its ports.
        return self.state in "ZX" and self.threads <= 1

    @property
    def paused(self) -> bool:
        return self.state == "T"


def look(pid: int) -> Seen | None:
    """The process that has this pid now, or None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may contain spaces and brackets. So
    # the fields are split after the last bracket.
    fields = stat.rpartition(")")[2].split()
    return Seen(start_ticks=int(fields[19]), state=fields[0], threads=int(fields[17]))


def children(pid: int) -> list[int]:
    """The direct child processes of `pid` that still run."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
        return []


def command_line(pid: int) -> str:
    """The command line, which a process may overwrite with a title; empty if it has ended."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""


def uptime_s(pid: int) -> float:
    """How long the process has been running; 0 if it has ended."""
    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def memory_bytes(pid: int) -> int:
    """The resident memory; 0 if the process has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
