"""Cassandra, Redis and S3 do what the ports promise: they pass the same suites as the in-memory
twins."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import count
from time import time
from uuid import uuid4

import botocore.session
import httpx
import pytest

from infra.local.deployment import Deployment
from infra.local.stack import Stack
from streams.ports.groups import Stores
from streams.ports.media import SignedRequest
from streams.settings import Settings
from streams.stores.cassandra.coordination import CassandraShardLeases
from streams.stores.cassandra.outgoing_edges import CassandraOutgoingEdges
from streams.stores.connect import connect, connect_clients, stores_of
from tests.contract import limits
from tests.contract.suites.every_suite import *  # noqa: F403  # The list of the suites is there.
from tests.contract.suites.media_suite import PutSigned

TIMEOUT_MS = 10_000
# The tests are further apart than a lease is valid in the suite, so no test sees the leases of
# another test.
SHARD_TESTS_APART_MS = 600_000


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Deployment:
    environment = {
        "SHUTTERLINE_TIMELINE_SLOTS": str(limits.SLOTS),
        "SHUTTERLINE_TIMELINE_IDS": str(limits.SLOTS),
        "SHUTTERLINE_REBUILDS_PER_S_MAX": str(limits.REBUILDS_PER_S_MAX),
        # The limit is below the suites' numbers of owners, so one call becomes several requests.
        "SHUTTERLINE_INSERT_IDS_MAX": "16",
    }
    made = Deployment(stack, f"t{uuid4().hex[:8]}.", environment)
    made.prepare()
    return made


@pytest.fixture(scope="module")
async def stores(deployment: Deployment) -> AsyncIterator[Stores]:
    async with connect_clients(deployment.settings, timeout_ms=TIMEOUT_MS) as clients:
        yield replace(
            stores_of(clients, deployment.settings),
            outgoing_edges=CassandraOutgoingEdges(
                clients.cassandra,
                deployment.settings.removed_edge_ttl_s,
                following_rows_a_call=limits.FOLLOWING_ROWS_A_CALL,
            ),
            shard_leases=CassandraShardLeases(clients.cassandra, shards=limits.SHARDS, tries=limits.SHARDS),
        )


@pytest.fixture(scope="module")
async def brief_stores(deployment: Deployment) -> AsyncIterator[Stores]:
    brief: Settings = deployment.settings.model_copy(
        update={
            "timeline_ttl_s": limits.BRIEF_TTL_S,
            "timeline_renew_s": limits.BRIEF_RENEW_S,
            "rebuild_ttl_ms": limits.BRIEF_REBUILD_TTL_MS,
            "removed_edge_ttl_s": limits.BRIEF_REMOVED_TTL_S,
            "removal_mark_ttl_s": limits.BRIEF_REMOVAL_MARK_TTL_S,
        }
    )
    async with connect(brief, timeout_ms=TIMEOUT_MS) as connected:
        yield connected


@pytest.fixture
def put_original(deployment: Deployment) -> Callable[[str], None]:
    """Puts an object into the media bucket."""
    settings = deployment.settings
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=settings.s3,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
    )
    return lambda key: client.put_object(Bucket=settings.s3_bucket, Key=key, Body=b"original")


@pytest.fixture
async def put_signed() -> AsyncIterator[PutSigned]:
    """Sends a signed request with a plain HTTP client."""
    async with httpx.AsyncClient() as client:

        async def put(request: SignedRequest, body: bytes) -> int:
            # The client computes the length itself.
            headers = {name: value for name, value in request.headers.items() if name != "Content-Length"}
            return (await client.put(request.url, content=body, headers=headers)).status_code

        yield put


_shard_tests = count(int(time() * 1_000), SHARD_TESTS_APART_MS)


@pytest.fixture
def shard_now_ms() -> int:
    """A time at which the leases of all earlier tests have expired."""
    return next(_shard_tests)
