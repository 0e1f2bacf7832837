"""The system calls that a decoder may make, with their numbers on x86_64 and aarch64."""

import platform
from dataclasses import dataclass

# A decoder needs only memory, threads, clocks, and writes to a socket that is already open. Every
# call that is not listed returns EPERM: opening a file, sockets, exec, fork, kill, ptrace,
# io_uring, mounts, keys. `Architecture` has a few more, which `seccomp.py` allows or refuses by
# their arguments.
_ALLOWED_X86_64 = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "munmap": 11, "brk": 12,
    "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25,
    "nanosleep": 35, "getpid": 39, "exit": 60, "gettimeofday": 96, "getrusage": 98,
    "sysinfo": 99, "sigaltstack": 131, "gettid": 186, "futex": 202, "sched_getaffinity": 204,
    "restart_syscall": 219, "clock_gettime": 228, "clock_nanosleep": 230, "exit_group": 231,
    "set_robust_list": 273, "getrandom": 318, "membarrier": 324, "rseq": 334,
}  # fmt: skip
_ALLOWED_AARCH64 = {
    "read": 63, "write": 64, "close": 57, "fstat": 80, "ppoll": 73, "lseek": 62, "munmap": 215, "brk": 214,
    "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "sched_yield": 124, "mremap": 216,
    "nanosleep": 101, "getpid": 172, "exit": 93, "gettimeofday": 169, "getrusage": 165,
    "sysinfo": 179, "sigaltstack": 132, "gettid": 178, "futex": 98, "sched_getaffinity": 123,
    "restart_syscall": 128, "clock_gettime": 113, "clock_nanosleep": 115, "exit_group": 94,
    "set_robust_list": 99, "getrandom": 278, "membarrier": 283, "rseq": 293,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture: its AUDIT_ARCH value, and the numbers of its system calls.

    `allowed` calls are allowed with any arguments; the filter checks the arguments of the other
    calls.
    """

    audit: int
    allowed: frozenset[int]
    mmap: int
    mprotect: int
    madvise: int
    clone: int
    clone3: int
    prctl: int
    tgkill: int


_ARCHITECTURES = {
    "x86_64": Architecture(
        0xC000003E,
        frozenset(_ALLOWED_X86_64.values()),
        mmap=9,
        mprotect=10,
        madvise=28,
        clone=56,
        clone3=435,
        prctl=157,
        tgkill=234,
    ),
    "aarch64": Architecture(
        0xC00000B7,
        frozenset(_ALLOWED_AARCH64.values()),
        mmap=222,
        mprotect=226,
        madvise=233,
        clone=220,
        clone3=435,
        prctl=167,
        tgkill=131,
    ),
}


def this_architecture() -> Architecture:
    """Return the architecture of this machine.

    Raises:
        RuntimeError: The machine is not Linux, or its system calls are not listed here.
    """
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in _ARCHITECTURES:
        raise RuntimeError(
            f"decoders are confined on Linux of {', '.join(_ARCHITECTURES)} only, not on "
            f"{platform.system()} of {machine}; add its system calls to streams/media/syscalls.py"
        )
    return _ARCHITECTURES[machine]
