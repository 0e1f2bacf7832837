"""What the processes log: a JSON object a line; where somebody looks on, a line for a person.

Both our own lines and those of the libraries come by the standard library's `logging`. Lines have no personal
data but ids: no caption, address, token, and no local variables of a traceback.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import islice
from time import monotonic
from types import TracebackType

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from schemas.printable import printable
from streams.limited_log import LineLimit
from streams.settings import LogLevel
from streams.telemetry.causes import handled
from streams.telemetry.lines import EVENTS_A_LINE_MAX, event_fields

log = logging.getLogger(__name__)
# What a call may add to a line by `extra`; libraries add fields of their own, which nobody has looked at.
FIELDS = (
    *("event_id", "event_ids", "photo_id", "photo_ids"),
    *("group", "topic", "partition", "offset", "offsets", "lane"),
    *("reason", "outcome", "mode", "store", "operation", "source"),
)
FRAMES_MAX = 20
STDOUT = 1


class Repeated(logging.Filter):
    """Limits the lines of the logger `name` and below, see `LineLimit`.

    Lines of the same template are of one kind. Tracebacks are left out: what a driver reports
    is a broken connection, and the traceback shows only the driver.
    """

    def __init__(self, name: str, *, clock_s: Callable[[], float] = monotonic) -> None:
        super().__init__(name)
        self._limit = LineLimit(clock_s=clock_s)

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True  # Of another logger.
        suffix = self._limit.admit(str(record.msg))
        if suffix is None:
            return False
        record.msg, record.args = record.getMessage() + suffix, None
        record.exc_info = None
        return True


def access_events(process: str) -> Callable[..., object]:
    """Return a function that writes an event of the access log to standard output, a line for each."""
    logger = structlog.wrap_logger(
        structlog.BytesLogger(),
        processors=[
            _named(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            *(
                [*_for_people(), _encoded]
                if os.isatty(STDOUT)
                else [structlog.processors.JSONRenderer(serializer=orjson.dumps)]
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    write: Callable[..., object] = logger.bind(logger="access").info
    return write


def log_to_stderr(process: str, level: LogLevel) -> None:
    """Log to standard error from now on: our packages from `level` on, libraries from WARNING on.

    Also what would be printed otherwise: the warnings of Python, and the error that ends the process. If
    the process logs already, this changes nothing.
    """
    if logging.getLogger().hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(process, is_for_people=handler.stream.isatty()))
    # Consumers reconnect by themselves, several times a second, and nothing of ours sees it. A collector of
    # traces may be away for long.
    handler.addFilter(Repeated("aiokafka"))
    handler.addFilter(Repeated("opentelemetry"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for package in ("streams", "api", "shutterline"):
        logging.getLogger(package).setLevel(level.value.upper())
    # The driver logs two tracebacks for each try to connect. Our own code logs each try at the start
    # and each kind of failure later.
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)
    # At INFO this module logs a line for the supervisor of each agent.
    logging.getLogger("streams.kafka.consuming.app").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = partial(_log_error, "ended by an error")
    threading.excepthook = lambda failed: _log_error(
        "a thread ended by an error", failed.exc_type, failed.exc_value, failed.exc_traceback
    )
    sys.unraisablehook = lambda failed: _log_error(
        "an error had to be ignored", failed.exc_type, failed.exc_value, failed.exc_traceback
    )


def formatter(process: str, *, is_for_people: bool) -> logging.Formatter:
    """Return what makes a line of a record of the standard library; `process` is the name in each line."""
    json: list[Processor] = [
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=FRAMES_MAX)
        ),
        structlog.processors.JSONRenderer(serializer=_json),
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            _named(process),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(FIELDS),
            _add_handled,
            structlog.processors.TimeStamper(fmt="iso", key="time"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *(_for_people() if is_for_people else json),
        ],
    )


def _for_people() -> list[Processor]:
    # Rich's tracebacks would show the variables.
    tracebacks = structlog.dev.plain_traceback
    return [_printable, structlog.dev.ConsoleRenderer(timestamp_key="time", exception_formatter=tracebacks)]


def _named(process: str) -> Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _add_handled(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add what the task handles in which this line is logged, where the line itself does not say it."""
    fields, event_ids = handled()
    for name, value in fields.items():
        event.setdefault(name, value)
    if "event_id" not in event and "event_ids" not in event:
        event.update(event_fields(list(islice(event_ids, EVENTS_A_LINE_MAX))))
    return event


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Make visible what would command the terminal."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=repr).decode()


def _encoded(_: WrappedLogger, __: str, line: str) -> bytes:
    return line.encode()


def _log_error(
    words: str, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    log.critical("%s", words, exc_info=(kind, error or kind(), trace))
