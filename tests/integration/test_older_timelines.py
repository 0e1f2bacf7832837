"""Timelines of the layout until 2026-11-29 are read, appended to, and merged into."""

import struct
from collections.abc import AsyncIterator

import pytest

from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import PackedIds, PhotoId, UserId, pack_id
from streams.core import ring
from streams.ports.timelines import PhotosForOwners
from streams.stores.connect import StoreClients, connect_clients, stores_of

SLOTS = 6 * ring.BLOCK
FIRST_PHOTO = 1_000


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Deployment:
    made = Deployment(
        stack, "older.", {"SHUTTERLINE_TIMELINE_SLOTS": str(SLOTS), "SHUTTERLINE_TIMELINE_IDS": str(SLOTS)}
    )
    made.prepare()
    return made


@pytest.fixture(scope="module")
async def clients(deployment: Deployment) -> AsyncIterator[StoreClients]:
    async with connect_clients(deployment.settings, timeout_ms=10_000) as made:
        yield made


def older(arrivals: int) -> bytes:
    """Return the bytes of an older ring after so many photos arrived in order."""
    cells, floor = [0] * SLOTS, 0
    for number in range(arrivals):
        floor = max(floor, cells[number % SLOTS])
        cells[number % SLOTS] = FIRST_PHOTO + number
    return struct.pack(f">II8sQ{SLOTS}Q", arrivals, 5, bytes(8), floor, *cells)


@pytest.mark.law("L1")
@pytest.mark.parametrize("arrivals", range(0, 3 * SLOTS, 5))
async def test_appends_to_an_older_timeline_lose_nothing(
    clients: StoreClients, deployment: Deployment, arrivals: int
) -> None:
    """Wherever its next slot is: no photo above the floor is lost, and the floor is not much higher
    than the slots allow."""
    timelines = stores_of(clients, deployment.settings).timelines
    owner = UserId(1 + arrivals)
    key = deployment.settings.namespace.encode() + b"t" + pack_id(owner)
    await clients.redis.ask(b"SET", key, older(arrivals), b"EX", b"60")
    photos = list(range(FIRST_PHOTO, FIRST_PHOTO + arrivals))

    for photo in range(5_000, 5_000 + 3 * SLOTS):
        put = PhotosForOwners((PhotoId(photo),), PackedIds(pack_id(owner)))
        assert await timelines.append([put]) == 1
        photos.append(photo)
        value = await timelines.read(owner)
        assert value is not None
        stored = ring.parse(value)
        whole = {photo for photo in photos if photo > stored.floor}

        assert whole == {photo for photo in stored.ids if photo > stored.floor}
        assert len(whole) >= min(len(photos), SLOTS - 3 * ring.BLOCK + 1)
        assert (stored.version, len(value)) == (5, len(older(0)))


async def test_a_merge_into_an_older_timeline_gives_it_the_new_layout(
    clients: StoreClients, deployment: Deployment
) -> None:
    """The late photo takes its place by its id."""
    timelines = stores_of(clients, deployment.settings).timelines
    owner = UserId(9_999)
    key = deployment.settings.namespace.encode() + b"t" + pack_id(owner)
    await clients.redis.ask(b"SET", key, older(3), b"EX", b"60")

    assert await timelines.merge(owner, [PhotoId(FIRST_PHOTO - 1)])

    ids = range(FIRST_PHOTO - 1, FIRST_PHOTO + 3)
    assert await timelines.read(owner) == ring.lay_out(ids, slots=SLOTS, floor=0, version=6)


@pytest.mark.law("L1")
@pytest.mark.parametrize("arrivals", range(0, 3 * SLOTS, 7))
async def test_inserts_into_an_older_timeline_lose_nothing(
    clients: StoreClients, deployment: Deployment, arrivals: int
) -> None:
    """Wherever its next slot is: every late photo above the floor is there, beside all that was."""
    timelines = stores_of(clients, deployment.settings).timelines
    owner = UserId(20_000 + arrivals)
    key = deployment.settings.namespace.encode() + b"t" + pack_id(owner)
    await clients.redis.ask(b"SET", key, older(arrivals), b"EX", b"60")
    photos = set(range(FIRST_PHOTO, FIRST_PHOTO + arrivals))

    for photo in range(5_000, 5_000 + 2 * SLOTS, 10):
        before = ring.parse(await timelines.read(owner) or b"").floor
        late = [PhotoId(number) for number in (photo - 5, photo - 15, FIRST_PHOTO - 1) if number > before]
        owners = PackedIds(pack_id(owner))
        assert await timelines.append([PhotosForOwners((PhotoId(photo),), owners)]) == 1
        assert await timelines.insert(owners, late) == len(late)
        assert await timelines.insert(owners, late) == len(late)
        photos |= {photo, *late}
        stored = ring.parse(await timelines.read(owner) or b"")

        assert before <= stored.floor
        assert {photo for photo in photos if photo > stored.floor} <= stored.ids
