"""Whether Redis will ever let a process in with its settings."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError

from streams.errors import StoreMisconfigured
from streams.settings import RedisSettings
from streams.stores.redis.connection.client import STORE
from streams.stores.tls import require_certificate, tls_context
from streams.threads import in_thread

ACCESS_S_MAX = 3.0


def url_of(settings: RedisSettings) -> str:
    """Return the URL for the driver, which reads the file of the authorities from the query."""
    if settings.redis_tls_ca is None:
        return settings.redis
    joint = "&" if urlsplit(settings.redis).query else "?"
    return f"{settings.redis}{joint}{urlencode({'ssl_ca_certs': settings.redis_tls_ca})}"


async def require_access(settings: RedisSettings) -> None:
    """Log in to each of the given addresses; return if waiting may help, or all is well.

    Raises:
        StoreMisconfigured: Every address refuses the login, or has an invalid certificate.
    """
    url = urlsplit(url_of(settings))
    credentials, at, addresses = url.netloc.rpartition("@")
    urls = [url._replace(netloc=f"{credentials}{at}{address}").geturl() for address in addresses.split(",")]
    refusals = await asyncio.gather(*map(_refusal, urls))
    if all(isinstance(refusal, AuthenticationError) for refusal in refusals):
        raise StoreMisconfigured.of_login(
            STORE, addresses, _user(url.username, url.password), "the user and password in SHUTTERLINE_REDIS"
        )
    if url.scheme == "rediss" and all(refusals):
        await in_thread(
            require_certificate,
            STORE,
            _with_ports(addresses),
            tls_context(settings.redis_tls_ca),
            "SHUTTERLINE_REDIS_TLS_CA",
        )


async def _refusal(url: str) -> Exception | None:
    """Return the error with which the server does not let this process in; None if it does."""
    client: Any = Redis.from_url(
        url,
        socket_timeout=ACCESS_S_MAX,
        socket_connect_timeout=ACCESS_S_MAX,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return error
    finally:
        await client.aclose()
    return None


def _user(name: str | None, password: str | None) -> str:
    """Return whom the driver logs in as; empty if it does not log in."""
    return unquote(name) if name else "default" if password else ""


def _with_ports(addresses: str) -> Sequence[str]:
    return [
        address if urlsplit(f"//{address}").port else f"{address}:6379" for address in addresses.split(",")
    ]
