"""Compare the CPU of a measured run on one machine with what the coefficients predict for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.capacity.coefficients import CapacityError, Coefficients, Json, Part, Work, works_in
from bench.capacity.demand import cpu_s

WITHIN = 0.2


@dataclass(frozen=True, slots=True)
class Run:
    """What was done in a run, in how many seconds, and the seconds of CPU that each kind of process used."""

    name: str
    workers: int
    work: Mapping[Work, float]
    seconds: float
    measured_s: Mapping[Part, float]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds of CPU of one kind of process, or of all."""

    name: str
    predicted_s: float
    measured_s: float

    @property
    def ratio(self) -> float:
        """Predicted divided by measured."""
        return self.predicted_s / self.measured_s

    @property
    def is_within(self) -> bool:
        return abs(self.ratio - 1) <= WITHIN


def runs_in(result: Json) -> Iterator[Run]:
    """Yield the runs of a result of `bench.capacity.trial`, each with the medians of its rounds.

    Raises:
        CapacityError: There are none, or they have work of which the result has no line.
    """
    if not result.get("runs") or not result.get("idle"):
        raise CapacityError("the result has no runs or no idle; it must be one of bench.capacity.trial")
    lines = set(works_in(result))
    for run in result["runs"]:
        try:
            yield _run(run, lines)
        except (KeyError, TypeError, ValueError) as error:
            raise CapacityError(f"a run cannot be read: {type(error).__name__} {error}") from error


def _run(run: Mapping[str, Any], lines: set[Work]) -> Run:
    work = {Work(name): float(count) for name, count in run["work"].items()}
    if missing := work.keys() - lines:
        raise CapacityError(
            f"{run['name']} has {', '.join(sorted(missing))}, whose cost is not among the lines"
        )
    rounds = run["rounds"]
    return Run(
        run["name"],
        int(run["workers"]),
        work,
        median(each["seconds"] for each in rounds),
        {part: median(each["cpu_s"][part] for each in rounds) for part in Part},
    )


def predictions(run: Run, coefficients: Coefficients) -> list[Prediction]:
    """Return what each kind of process uses for the work of the run and without work; all of them last.

    Raises:
        CapacityError: No CPU was measured.
    """
    for_work = cpu_s(run.work, coefficients)
    rows = [
        Prediction(
            part.value,
            for_work[part]
            + coefficients.idle_cores.get(part, 0.0)
            * run.seconds
            * (run.workers if part is Part.WORKER else 1),
            run.measured_s[part],
        )
        for part in Part
    ]
    if not all(row.measured_s > 0 for row in rows):
        raise CapacityError(f"{run.name}: a process used no CPU")
    return [
        *rows,
        Prediction("all", sum(row.predicted_s for row in rows), sum(row.measured_s for row in rows)),
    ]
