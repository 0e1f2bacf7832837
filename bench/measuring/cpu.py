"""The CPU that each process of a stack uses during a measurement, and how busy the machine was."""

import os
import time
from dataclasses import dataclass
from typing import Self

import psutil

from infra.local.stack import Stack

OWN_NAME = "this bench"
# Above these shares a core, or the machine, counts as saturated.
CORE_FULL = 0.9
MACHINE_FULL = 0.9


@dataclass(frozen=True, slots=True)
class CpuClock:
    """Seconds of CPU up to a moment: of each process by name, and of the machine, busy and in all.

    `stolen_s` is the part of `busy_s` that the host of this virtual machine gave to other guests.
    """

    processes: dict[str, float]
    busy_s: float
    stolen_s: float
    all_s: float
    at_s: float

    @classmethod
    def read(cls, stack: Stack) -> Self:
        pids = {daemon.name: daemon.pid for daemon in stack.processes()} | {OWN_NAME: os.getpid()}
        used = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items() if pid is not None}
        machine = psutil.cpu_times()
        return cls(
            processes={name: times.user + times.system for name, times in used.items()},
            busy_s=sum(machine) - machine.idle - machine.iowait - machine.guest - machine.guest_nice,
            stolen_s=machine.steal,
            all_s=sum(machine) - machine.guest - machine.guest_nice,
            at_s=time.monotonic(),
        )


@dataclass(frozen=True, slots=True)
class CpuUse:
    """The CPU between two moments."""

    before: CpuClock
    after: CpuClock

    def seconds(self, name: str) -> float:
        """The CPU time of the process; 0 if there is no such process."""
        return self.after.processes.get(name, 0.0) - self.before.processes.get(name, 0.0)

    @property
    def took_s(self) -> float:
        return self.after.at_s - self.before.at_s

    def cores(self, name: str) -> float:
        """How many cores the process used; more than 1 if it has several busy threads."""
        return self.seconds(name) / self.took_s

    @property
    def machine(self) -> float:
        """The busy share of the whole machine, other programs included."""
        return (self.after.busy_s - self.before.busy_s) / (self.after.all_s - self.before.all_s)

    @property
    def stolen(self) -> float:
        """The share of the whole machine that its host gave to others."""
        return (self.after.stolen_s - self.before.stolen_s) / (self.after.all_s - self.before.all_s)

    def each(self, count: int) -> str:
        """Milliseconds of every process for each of `count` pieces of work, the greatest first."""
        used_s = {name: self.seconds(name) for name in self.after.processes}
        parts = [
            f"{name} {1_000 * used_s[name] / count:.2f}"
            for name in sorted(used_s, key=used_s.__getitem__, reverse=True)
        ]
        return "ms of CPU each: " + ", ".join(parts)

    def limit(self, name: str) -> str:
        """Which part of the CPU was the limit; `name` is a process that can use about one core."""
        machine = f"the machine was {100 * self.machine:.0f}% busy, {100 * self.stolen:.0f}% for its host"
        own = f"{name} used {100 * self.cores(name):.0f}% of a core"
        if self.cores(name) > CORE_FULL:
            return f"the limit was the core of {name}; {machine}"
        if self.machine > MACHINE_FULL:
            return f"the limit was the machine: {machine}, {own}"
        return f"nothing was at its limit: {own}, {machine}"
