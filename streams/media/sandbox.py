"""What a process gives up before it looks at a stranger's bytes."""

import ctypes
import os
import resource
import signal
from collections.abc import Collection
from dataclasses import dataclass

from streams.media import seccomp
from streams.media.syscalls import Architecture

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_NICE_LOWEST = 19
_DESCRIPTORS_END = 1 << 20


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one decoder may use."""

    memory_bytes_max: int
    cpu_s_max: int
    is_background: bool


def confine(allowance: Allowance, architecture: Architecture, keep: Collection[int]) -> None:
    """Give up everything but memory, CPU time and the descriptors `keep`; there is no way back.

    After it: no file or socket can be opened, no program run, no process made or signalled, no
    memory made executable, no privilege gained; memory beyond `memory_bytes_max` more than is
    mapped now is refused, and CPU time beyond `cpu_s_max` ends the process with SIGXCPU.
    `resource` limits alone would leave the network; the filter alone would leave memory and time.

    Raises:
        OSError: The kernel refuses a part of it; the process must not go on.
    """
    _close_all_but(keep)
    if allowance.is_background:
        _give_way()
    _limit(allowance, keep)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)  # Neighbours of the same user cannot trace it or read its memory.
    seccomp.install(architecture, os.getpid())


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the parent ends, however it ends; at once where it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def _close_all_but(keep: Collection[int]) -> None:
    start = 0
    for descriptor in [*sorted(keep), _DESCRIPTORS_END]:
        os.closerange(start, descriptor)
        start = descriptor + 1


def _give_way() -> None:
    """Run only when nothing else wants the core."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except PermissionError:
        os.nice(_NICE_LOWEST)


def _limit(allowance: Allowance, keep: Collection[int]) -> None:
    memory_bytes = _mapped_bytes() + allowance.memory_bytes_max
    limits = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        # The soft limit says by its signal what happened; the hard one cannot be ignored.
        resource.RLIMIT_CPU: (allowance.cpu_s_max, allowance.cpu_s_max + 1),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (max(keep) + 1, max(keep) + 1),  # What is open is all there will be.
    }
    for limit, soft_and_hard in limits.items():
        resource.setrlimit(limit, soft_and_hard)


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")
