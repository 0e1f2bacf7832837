"""How connections are counted by address."""

import pytest

from api.http.connections import Connections, networks


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff:2"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_addresses_of_one_client_share_a_limit(first: str, second: str) -> None:
    """A host with IPv6 has a whole network of addresses, and one with IPv4 may appear in two forms."""
    connections = Connections(per_address_max=1, uncounted=())
    owner = connections.opened(first)
    over = connections.opened(second)
    assert owner is not None
    connections.closed(owner)

    assert over is None
    assert connections.opened(second) is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.9", "10.1.2.3", None])
def test_uncounted_networks_have_no_limit(address: str | None) -> None:
    """Load balancers and local clients; a Unix socket has no address."""
    connections = Connections(per_address_max=1, uncounted=networks("127.0.0.0/8, ::1,10.0.0.0/8"))

    assert None not in [connections.opened(address) for _ in range(100)]


def test_other_addresses_have_limits_of_their_own() -> None:
    """Also neighbours in IPv4, and other networks of IPv6."""
    connections = Connections(per_address_max=1, uncounted=networks("127.0.0.0/8"))
    addresses = ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"]

    assert len({connections.opened(address) for address in addresses} - {None}) == 4


def test_zero_is_no_limit() -> None:
    """For systems whose load balancer bounds connections itself."""
    connections = Connections(per_address_max=0, uncounted=())

    assert None not in [connections.opened("192.0.2.1") for _ in range(100)]


def test_what_is_no_network_is_refused_at_the_start() -> None:
    """A typing error must not remove a limit."""
    with pytest.raises(ValueError, match="not-a-network"):
        networks("127.0.0.0/8,not-a-network")
