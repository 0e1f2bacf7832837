"""If a running node refuses a login, this is an outage: the process connects again afterwards."""

import logging
from uuid import uuid4

import pytest

from bench.refusing.cassandra import ROLE, environment_of, execute, second_node
from bench.traffic.slow_proxy import SlowProxy
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import PhotoId
from streams.errors import StoreUnavailable
from streams.stores.connect import connect

TIMEOUT_MS = 2_000
LOGINS = 5  # More than the connections that the driver opens again, of which each gives up for itself.


async def test_a_login_that_is_refused_for_a_while_is_tried_again(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver itself gives a node up after the first refusal."""
    caplog.set_level(logging.DEBUG, "cassandra")
    with second_node(stack) as server, SlowProxy(server.port) as proxy:
        deployment = Deployment(stack, f"t{uuid4().hex[:8]}.", environment_of(proxy.port))
        deployment.prepare()
        async with connect(deployment.settings, timeout_ms=TIMEOUT_MS) as stores:

            async def is_read() -> bool:
                try:
                    return await stores.photos.get([PhotoId(1)]) == {}
                except StoreUnavailable:
                    return False

            assert await is_read()
            execute(server, f"ALTER ROLE {ROLE} WITH LOGIN = false")
            proxy.cut()
            await eventually(
                f"{LOGINS} logins are refused",
                lambda: sum("not permitted to log in" in text for text in caplog.messages) >= LOGINS,
            )
            execute(server, f"ALTER ROLE {ROLE} WITH LOGIN = true")

            await eventually("the node is read again", is_read)
