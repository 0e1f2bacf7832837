"""The fixtures of the suites for the in-memory twins."""

import random
from collections.abc import Callable
from itertools import count
from typing import cast

import pytest

from streams.ports.groups import Stores
from streams.stores.memory.media import MemoryMediaUploads
from streams.stores.memory.stores import memory_stores
from tests.contract import limits
from tests.contract.passing_time import HandMovedTime
from tests.contract.suites.media_suite import PutSigned


@pytest.fixture
def passing() -> HandMovedTime:
    return HandMovedTime()


@pytest.fixture
def new_id() -> Callable[[], int]:
    return count(random.randrange(1, 2**62)).__next__


@pytest.fixture
def objects() -> dict[str, bytes]:
    return {}


@pytest.fixture
def stores(passing: HandMovedTime, objects: dict[str, bytes]) -> Stores:
    return memory_stores(
        clock_ms=passing.now_ms,
        timeline_slots=limits.SLOTS,
        rebuilds_per_s_max=limits.REBUILDS_PER_S_MAX,
        shard_leases=limits.SHARDS,
        objects=objects,
    )


@pytest.fixture
def brief_stores(passing: HandMovedTime) -> Stores:
    return memory_stores(
        clock_ms=passing.now_ms,
        timeline_slots=limits.SLOTS,
        timeline_ttl_s=limits.BRIEF_TTL_S,
        timeline_renew_s=limits.BRIEF_RENEW_S,
        rebuild_ttl_ms=limits.BRIEF_REBUILD_TTL_MS,
        removed_edge_ttl_s=limits.BRIEF_REMOVED_TTL_S,
        removal_mark_ttl_s=limits.BRIEF_REMOVAL_MARK_TTL_S,
    )


@pytest.fixture
def put_original(objects: dict[str, bytes]) -> Callable[[str], None]:
    """Puts an object into the media bucket."""
    return lambda key: objects.update({key: b"original"})


@pytest.fixture
def shard_now_ms() -> int:
    """A time at which the shard leases of all earlier tests have expired."""
    return 1_800_000_000_000


@pytest.fixture
def put_signed(stores: Stores) -> PutSigned:
    """Sends a signed request."""
    return cast(MemoryMediaUploads, stores.media_uploads).put_signed
