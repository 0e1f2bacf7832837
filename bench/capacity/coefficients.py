"""What one piece of work costs each process, and how many bytes one of each thing has, with its source.

The committed values are from `bench/README.md` and from the decisions that it leads to. `taken_from` replaces
those of CPU by the result of `bench.costs` or of `bench.capacity.trial`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

Json = Mapping[str, Any]

# The followers, all with timelines, of an author whose posts are measured.
POST_FOLLOWERS = 200
MAIN = "main"


class CapacityError(Exception):
    """An input is not what the command can work with; the message is one line for the user."""


class Work(StrEnum):
    """A kind of work; the value is the line of `bench.costs` that measures it."""

    FOLLOW = "follow"
    LIKE = "like"
    POST = "post"  # With its deliveries to `POST_FOLLOWERS` timelines.
    DELIVERY = "bulk"
    PAGE = "warm"
    REBUILD = "cold"  # With the page that it is for.


class Part(StrEnum):
    """A kind of process that uses CPU; the value is its name in the results of benches."""

    WORKER = "worker"
    API = "api"
    CASSANDRA = "cassandra"
    REDIS = "redis"
    KAFKA = "kafka"


_EVENT_PARTS = (Part.WORKER, Part.CASSANDRA, Part.REDIS, Part.KAFKA)
_PAGE_PARTS = (Part.API, Part.CASSANDRA, Part.REDIS)
# The processes that take part in a kind of work. What the others use meanwhile, they use without it, too.
PARTS_OF: Mapping[Work, tuple[Part, ...]] = MappingProxyType(
    {work: _PAGE_PARTS if work in (Work.PAGE, Work.REBUILD) else _EVENT_PARTS for work in Work}
)


_PARTS = {part.value for part in Part}


class How(StrEnum):
    """Where a value comes from."""

    MEASURED = "measured"
    DERIVED = "derived"  # From measured figures; the source says how.
    COMPUTED = "computed"  # By the code that writes these bytes; a test compares.


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A value in `unit`. `date` is the day on which the source stated it."""

    value: float
    unit: str
    how: How
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Coefficients:
    """CPU by work and process, and bytes by name.

    `idle_cores` is what the processes use without work, if it was measured; it is then not part of `cpu_ms`.
    """

    cpu_ms: Mapping[tuple[Work, Part], Coefficient]
    sizes: Mapping[str, Coefficient]
    idle_cores: Mapping[Part, float] = field(default_factory=dict)

    def ms(self, work: Work, part: Part) -> float:
        """Return milliseconds of CPU; 0 where the process has no part in the work."""
        found = self.cpu_ms.get((work, part))
        return found.value if found else 0.0

    def bytes_of(self, name: str) -> float:
        return self.sizes[name].value


def taken_from(path: Path, otherwise: Coefficients) -> Coefficients:
    """Return `otherwise` with the CPU of each line in a result of `bench.costs` or `bench.capacity.trial`.

    If the result says what the processes use without work, that part is subtracted.

    Raises:
        CapacityError: The file cannot be read, or it is no such result.
    """
    result = read_result(path)
    idle_cores = {
        Part(name): float(cores) for name, cores in result.get("idle", {}).items() if name in _PARTS
    }
    cpu_ms = dict(otherwise.cpu_ms)
    for work in works_in(result):
        try:
            costs = result["lines"][work][MAIN]
            counted_s = float(costs["counted_s"]["median"]) if idle_cores else 0.0
            for part in PARTS_OF[work]:
                gross_ms = float(costs["cpu_ms"][part]["median"])
                net_ms = max(0.0, gross_ms - 1_000 * idle_cores.get(part, 0.0) * counted_s)
                cpu_ms[work, part] = Coefficient(
                    net_ms, "ms", How.MEASURED, f"{path.name}, line {work.value}", result["at"][:10]
                )
        except (KeyError, TypeError, ValueError) as error:
            raise CapacityError(f"{path}: line {work.value}: {type(error).__name__} {error}") from error
    return Coefficients(cpu_ms, otherwise.sizes, idle_cores)


def read_result(path: Path) -> Json:
    """Return the JSON of a result that has lines.

    Raises:
        CapacityError: See `taken_from`.
    """
    try:
        result: Json = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CapacityError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(result, dict) or not isinstance(result.get("lines"), dict) or "at" not in result:
        raise CapacityError(
            f"{path} is no result of bench.costs or bench.capacity.trial: no lines, or no date"
        )
    return result


def works_in(result: Json) -> Iterable[Work]:
    """Return the kinds of work of which a result has a line."""
    return [work for work in Work if work in result["lines"]]


_DATE = "2026-11-29"
_COSTS = "bench.costs --rounds 2 --against"
_EDGE_SPLIT = "in all; the worker has 0.4 (decision 65), the rest is divided as in bench.graph, 0.69 to 0.08"
_POST = "bench.costs --only post, less what the process uses without work in 10 ms, as 300 posts took 3 s"
_BULK = "decision 58, the mean of two rounds of bench.costs --only bulk"
_COLD = "bench.costs --rounds 2 --only cold"
_TABLES = "cassandra/README.md, the largest partition by its rows"
_ENCODED = "the encoded value of an example, without framing and compression"

_CPU_MS: Mapping[Work, tuple[tuple[Part, float, How, str], ...]] = {
    Work.FOLLOW: (
        (Part.WORKER, 0.4, How.DERIVED, f"{_COSTS}: 0.75 {_EDGE_SPLIT}"),
        (Part.CASSANDRA, 0.31, How.DERIVED, f"{_COSTS}: 0.75 {_EDGE_SPLIT}"),
        (Part.KAFKA, 0.04, How.DERIVED, f"{_COSTS}: 0.75 {_EDGE_SPLIT}"),
    ),
    Work.LIKE: (
        (Part.WORKER, 0.4, How.DERIVED, f"{_COSTS}: 0.85 {_EDGE_SPLIT}"),
        (Part.CASSANDRA, 0.4, How.DERIVED, f"{_COSTS}: 0.85 {_EDGE_SPLIT}"),
        (Part.KAFKA, 0.05, How.DERIVED, f"{_COSTS}: 0.85 {_EDGE_SPLIT}"),
    ),
    Work.POST: (
        (Part.WORKER, 0.55, How.DERIVED, f"0.85 by {_POST}"),
        (Part.CASSANDRA, 0.75, How.DERIVED, f"1.15 by {_POST}"),
        (Part.REDIS, 0.3, How.MEASURED, "bench.costs --rounds 2 --only post"),
        (Part.KAFKA, 0.23, How.DERIVED, f"0.73 by {_POST}"),
    ),
    Work.DELIVERY: (
        (Part.WORKER, 0.00185, How.MEASURED, _BULK),
        (Part.CASSANDRA, 0.00445, How.DERIVED, f"{_BULK}: all that is neither the worker's nor Redis's"),
        (Part.REDIS, 0.00195, How.MEASURED, _BULK),
    ),
    Work.PAGE: (
        (Part.API, 0.8, How.MEASURED, f"{_COSTS}, pages with a shorter script of its parts"),
        (Part.REDIS, 0.4, How.MEASURED, "bench.reads --rate 200, 50 pulled authors, before decision 55"),
    ),
    Work.REBUILD: (
        (Part.API, 6.2, How.MEASURED, _COLD),
        (Part.CASSANDRA, 7.1, How.MEASURED, _COLD),
        (Part.REDIS, 1.0, How.MEASURED, _COLD),
    ),
}
_SIZES: Mapping[str, tuple[float, How, str]] = {
    "timeline": (4_880, How.MEASURED, "decision 57: a full ring with its key in Redis"),
    "redis_value_overhead": (56, How.DERIVED, "a timeline in Redis less the 4,824 bytes of the ring"),
    "cached_followee": (16, How.COMPUTED, "streams/stores/cache/keys.py: followee and time"),
    "cached_like": (8, How.COMPUTED, "streams/stores/cache/keys.py"),
    "cached_photo": (368, How.COMPUTED, _ENCODED),
    "page": (40_000, How.MEASURED, "bench/measuring/steady.py: a page of 20 photos with 80 signed URLs"),
    "following_row": (60, How.DERIVED, f"{_TABLES}: 1.8 MB, 30,000 rows"),
    "likes_by_user_row": (40, How.DERIVED, f"{_TABLES}: 16 MB, 400,000 rows"),
    "photos_by_author_row": (40, How.DERIVED, f"{_TABLES}: 4 MB, 100,000 rows"),
    "counted_set_row": (62, How.DERIVED, f"{_TABLES}: 70 kB less a page of 8, 1,000 rows"),
    "photo_row": (599, How.COMPUTED, f"as the JSON of photo.uploaded: {_ENCODED}"),
    "upload_record": (786, How.COMPUTED, _ENCODED),
    "follow_record": (257, How.COMPUTED, _ENCODED),
    "like_record": (248, How.COMPUTED, _ENCODED),
    "edge_in_record": (27, How.COMPUTED, f"schemas/internal.py: {_ENCODED}"),
    "post_in_fanout_record": (68, How.COMPUTED, f"of five posts in a record: {_ENCODED}"),
    "backfill_in_record": (41, How.COMPUTED, f"of 50 follows in a record: {_ENCODED}"),
    "rendition_task": (164, How.COMPUTED, _ENCODED),
}

COMMITTED = Coefficients(
    cpu_ms=MappingProxyType(
        {
            (work, part): Coefficient(value, "ms", how, source, _DATE)
            for work, lines in _CPU_MS.items()
            for part, value, how, source in lines
        }
    ),
    sizes=MappingProxyType(
        {
            name: Coefficient(value, "bytes", how, source, _DATE)
            for name, (value, how, source) in _SIZES.items()
        }
    ),
)
