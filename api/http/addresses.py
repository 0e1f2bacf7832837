"""Whose an address is: one client may appear under many addresses, and an address in several forms."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# A provider gives each customer at least this much of IPv6, so one host has all its addresses.
IPV6_PREFIX_BITS = 64


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that the text names, None if it names none.

    Dual-stack sockets write IPv4 as IPv6, some proxies append a port, and link-local addresses have a zone.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=4_096)
def client_of(text: str) -> str | None:
    """Return the name under which an address is limited, of IPv6 its network; None if it is no address."""
    address = address_of(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX_BITS), strict=False))
    return None if address is None else str(address)
