"""The CPU and the rate of one kind of work, measured in rounds: medians, spreads, a table, JSON."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.table import Table

from bench.measuring.cpu import CpuUse

PROCESSES = ("worker", "api", "cassandra", "redis", "kafka", "client")
SERVERS = ("cassandra", "redis", "kafka")
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: milliseconds of CPU of each process for one piece of work, and pieces a second.

    `counted_s` is the time during which that CPU was used, for one piece of work. It is longer than
    1 / `rate`, because the last commits come after the last work.
    """

    cpu_ms: Mapping[str, float]
    rate: float
    counted_s: float

    @classmethod
    def of(
        cls,
        use: CpuUse,
        count: int,
        took_s: float,
        processes: Mapping[str, str],
        *,
        servers: Sequence[str] = SERVERS,
    ) -> Self:
        """Of `count` pieces of work in `took_s`.

        `servers` count, and `processes`: the names in the stack by what they are in `PROCESSES`.
        """
        names = {**{server: server for server in servers}, **processes}
        cpu_ms = {
            process: 1_000 * use.seconds(names[process]) / count if process in names else 0.0
            for process in PROCESSES
        }
        return cls(cpu_ms, count / took_s, use.took_s / count)

    @property
    def all_ms(self) -> float:
        return sum(self.cpu_ms.values())


@dataclass(slots=True)
class Costs:
    """The samples of each line and contender: the product, another checkout of it, a floor, a rival."""

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def add(self, line: str, contender: str, sample: Sample) -> None:
        self.samples[line, contender].append(sample)

    def as_json(self) -> dict[str, dict[str, object]]:
        """Milliseconds and rates by line and contender, each as median, lowest, highest and all rounds."""
        lines: dict[str, dict[str, object]] = defaultdict(dict)
        for (line, contender), samples in self.samples.items():
            lines[line][contender] = {
                "cpu_ms": {
                    process: _spread([sample.cpu_ms[process] for sample in samples]) for process in PROCESSES
                },
                "cpu_ms_in_all": _spread([sample.all_ms for sample in samples]),
                "rate": _spread([sample.rate for sample in samples]),
                "counted_s": _spread([sample.counted_s for sample in samples]),
                "against_main": self._ratios(line, contender),
            }
        return lines

    def _ratios(self, line: str, contender: str) -> dict[str, float]:
        """What the product costs and how fast it is, divided by the contender, round by round."""
        pairs = list(zip(self.samples.get((line, MAIN), ()), self.samples[line, contender], strict=False))
        if contender == MAIN or not pairs:
            return {}
        return {
            "cpu": statistics.median(own.all_ms / other.all_ms for own, other in pairs),
            "rate": statistics.median(own.rate / other.rate for own, other in pairs),
        }

    def table(self) -> Table:
        """Medians, with the lowest and highest of the rate and of the CPU in all."""
        table = Table("one", "by", *PROCESSES, "CPU in all, ms", "rate", "main / it: CPU", "rate")
        last = ""
        for (line, contender), samples in sorted(self.samples.items(), key=lambda item: item[0][0]):
            ratios = self._ratios(line, contender)
            table.add_row(
                line if line != last else "",
                contender,
                *(_number(statistics.median(s.cpu_ms[process] for s in samples)) for process in PROCESSES),
                _range([sample.all_ms for sample in samples]),
                _range([sample.rate for sample in samples]),
                *(_number(ratios[name]) if ratios else "" for name in ("cpu", "rate")),
            )
            last = line
        return table


def _spread(values: Sequence[float]) -> dict[str, object]:
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "rounds": list(values),
    }


def _range(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{_number(statistics.median(ordered))} ({_number(ordered[0])} to {_number(ordered[-1])})"


def _number(value: float) -> str:
    """Three digits that count; thousands with commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.0005 else ("" if value == 0 else f"{value:.4f}")
