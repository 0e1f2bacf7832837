"""Whether every store takes reads and writes; probed at most once a second for all callers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

Probe = Callable[[], Awaitable[object]]

PROBE_S_MAX = 2.0  # As long as a request may take.
FRESH_S = 1.0
log = logging.getLogger(__name__)


class Readiness:
    """Runs the probes of the stores, by name, at most once in `fresh_s`.

    Callers that come while the probes run share their result. Later callers get the last result until
    it is `fresh_s` old.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        probe_s_max: float = PROBE_S_MAX,
        fresh_s: float = FRESH_S,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._probes = probes
        self._probe_s_max = probe_s_max
        self._fresh_s = fresh_s
        self._clock_s = clock_s
        self._missing: list[str] = []
        self._asked_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def missing(self) -> list[str]:
        """Return the names of the stores that are not ready, within `probe_s_max`; never raises."""
        self._begin()
        if self._asking is not None:
            # If a caller disconnects, the probes must go on, because other callers wait for them.
            await asyncio.shield(self._asking)
        return self._missing

    def last(self) -> Mapping[str, bool | None]:
        """Return for each store whether it was ready when it was last asked, None before that.

        It does not wait: if the result is old, the stores are asked meanwhile, for the next call.
        """
        self._begin()
        was_asked = self._asked_s > float("-inf")
        return {name: name not in self._missing if was_asked else None for name in self._probes}

    def _begin(self) -> None:
        """Run the probes, unless they run or their result is fresh."""
        if self._asking is None and self._clock_s() - self._asked_s >= self._fresh_s:
            self._asking = asyncio.create_task(self._ask(), name="readiness")

    async def _ask(self) -> None:
        try:
            probes = self._probes.values()
            outcomes = await asyncio.gather(*map(self._run, probes), return_exceptions=True)
            failures = {
                name: outcome
                for name, outcome in zip(self._probes, outcomes, strict=True)
                if isinstance(outcome, BaseException)
            }
            for name, error in failures.items():
                log.warning("not ready: %s: %s %s", name, type(error).__name__, error)
            self._missing = list(failures)
        finally:
            self._asked_s = self._clock_s()
            self._asking = None

    async def _run(self, probe: Probe) -> None:
        async with asyncio.timeout(self._probe_s_max):
            await probe()
