"""What a worker says of itself every few seconds, and what is known of it after that."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.times import rfc3339, utc_datetime_of_ms

Json = dict[str, Any]
RESTARTS_MS = 3_600_000  # So far back restarts are counted.
RESTARTS_MAX = 60  # The newest ones: one a minute.
# Six groups of 150 bytes, and the times of the restarts.
REPORT_BYTES_MAX = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWork:
    """What a worker did for a consumer group in the last minute.

    `p50_ms` and `p99_ms` are of the time that a batch took, None without a batch. `in_flight` counts the
    offsets that are fetched and not committed, None if that is not known. `ms_per_megapixel` is the processor
    time of its decoders, None if they decoded nothing.
    """

    group: str
    batches: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    in_flight: int | None = None
    ms_per_megapixel: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What the process `worker` said at `at_ms`.

    `restarts_ms` are the starts of processes of this name, this one among them, that came after an end out of
    order. `loop_delay_ms` is by how much its event loop was late in the last minute, the 99th percentile.
    """

    worker: str
    at_ms: int
    started_ms: int | None = None
    restarts_ms: tuple[int, ...] = ()
    loop_delay_ms: float | None = None
    groups: tuple[GroupWork, ...] = ()


_REPORTS = TypeAdapter(WorkerReport)


class WorkerState(StrEnum):
    """What is known of a worker: it has just reported, it is silent, or nobody could read what it said."""

    OK = "OK"
    SILENT = "SILENT"
    NO_DATA = "NO-DATA"


def restarts(before: WorkerReport | None, started_ms: int) -> tuple[int, ...]:
    """Return the restarts of the last hour, for a process that starts at `started_ms`.

    `before` is what the process before it said last; None if there was none, or it ended in order.
    """
    if before is None:
        return ()
    recent = (at_ms for at_ms in before.restarts_ms if started_ms - at_ms < RESTARTS_MS)
    return (*recent, started_ms)[-RESTARTS_MAX:]


def encode_report(report: WorkerReport) -> str:
    """Return the report as JSON."""
    return orjson.dumps(report).decode()


def decode_report(worker: str, at_ms: int, text: str) -> WorkerReport:
    """Return the report. Of one that another version wrote in another shape, only who wrote it and when."""
    try:
        return _REPORTS.validate_json(text)
    except ValidationError:
        return WorkerReport(worker=worker, at_ms=at_ms)


def known_of(report: WorkerReport, *, age_s: float, now_ms: int, silent_s_max: float, is_read: bool) -> Json:
    """Return what is known of the worker now: no figure if it is silent, or the reports are not read.

    `age_s` is how long ago it reported; `is_read` says whether the reports have been read just now.
    """
    state = WorkerState.OK
    if not is_read:
        state = WorkerState.NO_DATA
    elif age_s > silent_s_max:
        state = WorkerState.SILENT
    known = {"worker": report.worker, "state": state.value, "age_s": round(age_s, 3)}
    if state is not WorkerState.OK:
        return {**known, "started_at": None, "restarts": None, "loop_delay_ms": None, "groups": []}
    started_ms = report.started_ms
    return {
        **known,
        "started_at": None if started_ms is None else rfc3339(utc_datetime_of_ms(started_ms)),
        "restarts": sum(now_ms - at_ms < RESTARTS_MS for at_ms in report.restarts_ms),
        "loop_delay_ms": report.loop_delay_ms,
        "groups": [asdict(work) for work in report.groups],
    }
