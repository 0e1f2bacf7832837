"""What the long-running commands log, and where."""

import logging
from collections.abc import Callable
from time import monotonic

import orjson
import structlog

from streams.limited_log import LineLimit


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


def access_events() -> Callable[..., object]:
    """Return a function that writes an event as a JSON object on a line of its own to standard output."""
    logger = structlog.wrap_logger(
        structlog.BytesLogger(),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    write: Callable[..., object] = logger.bind().info
    return write


def log_to_stderr() -> None:
    """One line a message, with its time; our packages from INFO on, libraries from WARNING on."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("streams").setLevel(logging.INFO)
    logging.getLogger("api").setLevel(logging.INFO)
    # The driver logs two tracebacks for each try to connect. Our own code logs each try at the start
    # and each kind of failure later.
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)
    # Consumers reconnect by themselves, several times a second, and nothing of ours sees it.
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repeated("aiokafka"))
    # At INFO this module logs a line for the supervisor of each agent.
    logging.getLogger("streams.kafka.consuming.app").setLevel(logging.WARNING)
