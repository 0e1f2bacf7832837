"""What the lag monitor says, read at most once a second for all callers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic

import aiohttp
import orjson

from streams.core.lag.report import Json, without_data
from streams.limited_log import LimitedLog

READ_S_MAX = 1.0
FRESH_S = 1.0
OVERVIEW_FRESH_S = 2.0  # As often as the monitor samples: it takes more of it than a report does.
# Of the largest profile, some 600 partitions of 400 bytes.
REPORT_BYTES_MAX = 4_194_304
log = LimitedLog(logging.getLogger(__name__))


class NoReport(Exception):
    """The monitor did not respond, and this process has never had a report of it."""


class LagReader:
    """Remembers the last report. `read` returns the monitor's JSON, within `read_s_max` seconds.

    `emptied` returns a report without its figures, and with the reason why they are not known.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[bytes]],
        *,
        emptied: Callable[[Json, str], Json] = without_data,
        read_s_max: float = READ_S_MAX,
        fresh_s: float = FRESH_S,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._read = read
        self._emptied = emptied
        self._read_s_max = read_s_max
        self._fresh_s = fresh_s
        self._clock_s = clock_s
        self._last: Json | None = None
        self._failure = ""
        self._asked_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def report(self) -> Json:
        """Return the report; if the monitor does not respond, the last one with every state NO-DATA.

        Raises:
            NoReport: There never was one.
        """
        if self._asking is None and self._clock_s() - self._asked_s >= self._fresh_s:
            self._asking = asyncio.create_task(self._ask(), name="lag")
        if self._asking is not None:
            # If a caller disconnects, the read must go on, because other callers wait for it.
            await asyncio.shield(self._asking)
        if self._last is None:
            raise NoReport(self._failure)
        return self._emptied(self._last, self._failure) if self._failure else self._last

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._read_s_max):
                self._last, self._failure = orjson.loads(await self._read()), ""
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as error:
            self._failure = "the lag monitor does not respond"
            log.warning("monitor", "the lag monitor does not respond: %r", error)
        finally:
            self._asked_s = self._clock_s()
            self._asking = None


def overview_without_data(overview: Json, reason: str) -> Json:
    """Return the monitor's overview without what is said of now; what has a time of its own stays.

    `unknown` is the reason. `sampled_at` of the report says how old the last overview is.
    """
    return {
        **overview,
        "unknown": reason,
        "lag": without_data(overview["lag"], reason),
        "freshness": None,
        "dead_letters": None,
        "workers": None,
        "brokers": [],
        "hottest_keys": [],
        "sources": [{**source, "age_s": None} for source in overview["sources"]],
    }


def monitor_read(address: str, path: str) -> Callable[[], Awaitable[bytes]]:
    """Return what reads `/lag` or `/overview` of the monitor at `host:port`."""

    async def read() -> bytes:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
            if response.status != HTTPStatus.OK:
                raise ValueError(f"the monitor responded with {response.status}")
            report = await response.content.read(REPORT_BYTES_MAX)
            while chunk := await response.content.read(REPORT_BYTES_MAX - len(report)):
                report += chunk
            return report

    return read
