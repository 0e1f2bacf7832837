"""TLS to the stores: what a client verifies, and what is wrong with a server's certificate.

A client verifies the whole chain and the host's name, against the given authorities or those of the system.
"""

import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from streams.errors import StoreMisconfigured

HANDSHAKE_S_MAX = 3.0


def tls_context(authorities: Path | None) -> ssl.SSLContext:
    """Return a client's context; `authorities` is a PEM file, None for those of the system."""
    return ssl.create_default_context(cafile=authorities)


def require_certificate(store: str, addresses: Iterable[str], context: ssl.SSLContext, setting: str) -> None:
    """Shake hands with servers, given as `host:port`; return if waiting may help, or all is well.

    So it returns if one certificate is accepted, or one server does not answer, since it may come back with
    another certificate. Blocks for up to `HANDSHAKE_S_MAX` at a server that hangs.

    Raises:
        StoreMisconfigured: No certificate is accepted. `setting` has the authorities.
    """
    last = None
    for address in addresses:
        last = _rejection(address, context)
        if last is None:
            return
    if last is not None:
        raise StoreMisconfigured(
            f"{store} at {last}. Replace its certificate, or correct {setting}, then start again."
        )


def _rejection(address: str, context: ssl.SSLContext) -> str | None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with (
            socket.create_connection((host, int(port)), HANDSHAKE_S_MAX) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return f"{address} has a certificate that is not accepted: {error.verify_message}"
    except OSError:
        return None
