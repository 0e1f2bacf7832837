"""What the kernel knows of a process, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """One look at a process. Pid and `start_ticks` together name it for good; a pid alone comes again."""

    start_ticks: int
    state: str  # One letter of proc(5): R, S, D, T (stopped), Z (ended, not yet collected).
    threads: int

    @property
    def ended(self) -> bool:
        # The first thread of a killed Java program ends before the others, which still hold its ports.
        return self.state in "ZX" and self.threads <= 1

    @property
    def paused(self) -> bool:
        return self.state == "T"


def look(pid: int) -> Seen | None:
    """The process with this pid now, or None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold anything; what follows is regular.
    fields = stat.rpartition(")")[2].split()
    return Seen(start_ticks=int(fields[19]), state=fields[0], threads=int(fields[17]))


def children(pid: int) -> list[int]:
    """The processes that it has started itself and that are still there."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_line(pid: int) -> str:
    """What it was started with, or what it calls itself now; empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def uptime_s(seen: Seen) -> float:
    """For how long the process has been there."""
    machine_s = float(Path("/proc/uptime").read_text().split()[0])
    return machine_s - seen.start_ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """The resident memory, 0 for a process that has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
