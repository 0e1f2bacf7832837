"""How many connections each client address has open."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from api.http.addresses import address_of, client_of
from api.http.metrics import CONNECTIONS

Network = IPv4Network | IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Parse networks or addresses with commas between.

    Raises:
        ValueError: One of them is neither.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class Connections:
    """Counts open connections by address; those from `uncounted` networks have no limit.

    `per_address_max` 0 is no limit. The addresses of an IPv6 network of 64 bits are one address.
    """

    def __init__(self, *, per_address_max: int, uncounted: Sequence[Network]) -> None:
        self._per_address_max = per_address_max
        self._uncounted = uncounted
        self._open: Counter[str] = Counter()

    def opened(self, address: str | None) -> str | None:
        """Count a connection. Returns what `closed` takes, or None if the address has too many."""
        owner = self._owner(address)
        if owner and self._open[owner] >= self._per_address_max:
            return None
        self._open[owner] += 1
        CONNECTIONS.inc()
        return owner

    def closed(self, owner: str) -> None:
        """Forget one connection that `opened` counted."""
        CONNECTIONS.dec()
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]

    def _owner(self, address: str | None) -> str:
        """Return the name under which an address is counted, which is empty if it has no limit."""
        if not self._per_address_max or address is None:
            return ""
        client = address_of(address)
        if client is not None and any(client in network for network in self._uncounted):
            return ""
        return client_of(address) or address
