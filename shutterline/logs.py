"""What the long-running commands log, and where."""

import logging
from collections.abc import Callable
from time import monotonic

import orjson
import structlog

REPEAT_S = 10.0


class Repeated(logging.Filter):
    """Drops a line of the logger `name` or below that it has passed in the last `every_s` seconds.

    Lines of the same template count as the same line. Tracebacks are left out: what a driver reports
    is a broken connection, and the traceback shows only the driver.
    """

    def __init__(
        self, name: str, *, every_s: float = REPEAT_S, clock_s: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(name)
        self._every_s = every_s
        self._clock_s = clock_s
        self._next_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True  # Of another logger.
        now_s, template = self._clock_s(), str(record.msg)
        if now_s < self._next_s.get(template, now_s):
            return False
        self._next_s[template] = now_s + self._every_s
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
