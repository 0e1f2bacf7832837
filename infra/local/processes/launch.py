"""Write this process's pid to a file, then execute the program that the arguments name.

Run as `python -I -S launch.py RUN_FOLDER NAME PARENT_PID COMMAND...`; PARENT_PID is 0 for a program that
outlives its parent. The pid file exists before the program runs, so that even a start that is killed half-way
leaves no process that cannot be found. This module uses little of the standard library and nothing
else, because it runs before every start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
CAP_IPC_LOCK = 14
PR_SET_TIMERSLACK = 29
# As long as requests come now and then, Cassandra's idle threads look for work every 10 µs. With Linux's own
# slack of 50 µs, Cassandra takes 22 ms of CPU a follow at 20 a second; with this 16 ms, at the same latency.
TIMER_SLACK_NS = 500_000
# What the program writes is for its owner alone: the stores' data have private photos in them.
UMASK = 0o077


def main(run_folder: str, name: str, parent_pid: int, command: list[str]) -> None:
    libc = ctypes.CDLL(None)
    # Without this call Cassandra, run as root, would lock its heap into memory: 160 MiB more than
    # it needs here. The call fails for other users; they do not have the capability anyway.
    libc.prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)
    libc.prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0)
    if parent_pid:
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent_pid:  # The parent ended before this call.
            sys.exit(1)
    os.umask(UMASK)
    write(f"{run_folder}/{name}.started", start_ticks())
    write(f"{run_folder}/{name}.pid", str(os.getpid()))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


def start_ticks() -> str:
    """When this process began, in the kernel's ticks; it stays the same through exec."""
    with open("/proc/self/stat") as stat:
        return stat.read().rpartition(")")[2].split()[19]


def write(path: str, text: str) -> None:
    """Write the file atomically: the whole text or nothing."""
    with open(f"{path}.new", "w") as file:
        file.write(f"{text}\n")
    os.replace(f"{path}.new", path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
