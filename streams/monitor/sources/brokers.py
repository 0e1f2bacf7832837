"""Which brokers the monitor does not reach."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]
# A broker that left the cluster is shown for so long: it was killed, or somebody removed it.
REMEMBERED_S = 3_600.0


class Probe(Protocol):
    """Asks the brokers; `brokers.BrokerProbe` implements this port."""

    async def response_times_s(self) -> Mapping[str, float | None]:
        """Return by address how long each took, None if it did not respond; raises StoreUnavailable."""


@dataclass(slots=True, kw_only=True)
class Brokers:
    """What was learned of each broker by `probe`, known for `stale_s`. `clock_s` is monotonic."""

    probe: Probe
    stale_s: float
    clock_s: Callable[[], float]
    read_s: float = field(default=float("-inf"), init=False)
    # By address: when it was last in the cluster, and how long it took at the last reading.
    _known: dict[str, tuple[float, float | None]] = field(default_factory=dict, init=False)

    async def read(self) -> None:
        """Ask all brokers.

        Raises:
            StoreUnavailable: It is not known which there are.
        """
        began_s = self.clock_s()
        found = await self.probe.response_times_s()
        gone = {
            address: (seen_s, None)
            for address, (seen_s, _) in self._known.items()
            if address not in found and began_s - seen_s <= REMEMBERED_S
        }
        self._known = gone | {address: (began_s, took_s) for address, took_s in found.items()}
        self.read_s = began_s

    def json(self) -> Sequence[Json]:
        """Return each broker with its `response_ms`, and OK, AWAY, or NO-DATA if that is not known now."""
        is_known = self.clock_s() - self.read_s <= self.stale_s
        return [
            {
                "broker": address,
                "state": "NO-DATA" if not is_known else "AWAY" if took_s is None else "OK",
                "response_ms": round(took_s * 1_000, 1) if is_known and took_s is not None else None,
            }
            for address, (_, took_s) in sorted(self._known.items())
        ]
