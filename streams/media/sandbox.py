"""Takes all privileges from a process before it reads untrusted bytes."""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Collection
from dataclasses import dataclass

from streams.media import seccomp
from streams.media.syscalls import Architecture

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_NICE_LOWEST = 19
_DESCRIPTORS_END = 1 << 20


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one decoder may use."""

    memory_bytes_max: int
    cpu_s_max: int
    is_background: bool


def confine(allowance: Allowance, architecture: Architecture, keep: Collection[int]) -> None:
    """Permanently limit this process to some memory, some CPU time and the descriptors `keep`.

    Afterwards this process has no capability, although it may be root's. It cannot open a file or a
    socket, run a program, start or signal another process, make memory executable, or gain a
    privilege. The kernel refuses it more than
    `memory_bytes_max` of memory in addition to what is mapped now, and ends it with SIGXCPU after
    `cpu_s_max` of CPU time. Both mechanisms are needed: `resource` limits do not block the network,
    and the seccomp filter does not limit memory or CPU time.

    Raises:
        OSError: The kernel refused one of these steps; the process must not read the image.
    """
    _close_all_but(keep)
    if allowance.is_background:
        _give_way()
    _limit(allowance, keep)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Other processes of the same user cannot trace this process or read its memory.
    _prctl(_PR_SET_DUMPABLE, 0)
    _drop_capabilities()
    seccomp.install(architecture, os.getpid())


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel kill this process when its parent ends, for whatever reason.

    If the parent has already ended, this process kills itself at once.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def _close_all_but(keep: Collection[int]) -> None:
    start = 0
    for descriptor in [*sorted(keep), _DESCRIPTORS_END]:
        os.closerange(start, descriptor)
        start = descriptor + 1


def _give_way() -> None:
    """Run this process only when no other process wants the core."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except PermissionError:
        os.nice(_NICE_LOWEST)


def _limit(allowance: Allowance, keep: Collection[int]) -> None:
    memory_bytes = _mapped_bytes() + allowance.memory_bytes_max
    limits = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        # The soft limit sends SIGXCPU, which tells the worker the cause; the hard limit, a second
        # later, sends SIGKILL, which a process cannot ignore.
        resource.RLIMIT_CPU: (allowance.cpu_s_max, allowance.cpu_s_max + 1),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
        # No further descriptor can be opened.
        resource.RLIMIT_NOFILE: (max(keep) + 1, max(keep) + 1),
    }
    for limit, soft_and_hard in limits.items():
        resource.setrlimit(limit, soft_and_hard)


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _drop_capabilities() -> None:
    """Give up all capabilities: in a container the worker is often root.

    The ambient set follows from the permitted one. The bounding set only matters when a program is
    run, which no decoder can.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    # Effective, permitted and inheritable, 32 bits of each and then the other 32.
    nothing = ctypes.create_string_buffer(struct.calcsize("6I"))
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "the kernel refused to drop the capabilities of a decoder")


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")
