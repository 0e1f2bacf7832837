"""A photo that was delivered beside a server that hangs is finished later; no page shows old values."""

import asyncio
from dataclasses import dataclass, field

import pytest

from schemas.ids import PhotoId, UserId, id_ms
from schemas.internal import Backfill, FullTask
from streams.core import ring
from streams.core.feed import Completeness
from streams.core.renditions import LARGER
from streams.errors import StoreUnavailable
from streams.jobs.undelivered import UndeliveredJob
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.photos.rejected import photo_rejected
from streams.renditions.full import full_task
from streams.stores.cache.keys import keys_of_photo
from streams.timelines.fanout import photos_for_owners, put_photos
from tests.simulation.caches import CacheOfTwo, world_of_two
from tests.worlds.api import NOW_MS, RENDITIONS
from tests.worlds.api import World as Api
from tests.worlds.flaky_stores import FlakyStores, KillAt, Killed
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import RULES, FakeDecoder, Log
from tests.worlds.renditions import World as RenditionsWorld

READER, AUTHOR, OTHER = UserId(1), UserId(2), UserId(5)
PHOTO = PhotoId(9)
BOTH = {0, 1}
CALLS_MAX = 60


@dataclass
class World:
    """An author whose photo and list are cached as they are before the photo is ready."""

    api: Api
    cache: CacheOfTwo
    log: Log = field(default_factory=Log)

    def job(self, *, owns: bool = True) -> UndeliveredJob:
        return UndeliveredJob(
            self.api.memory, self.log, RULES, LOCAL, owns=lambda: owns, clock_ms=lambda: self.api.clock.ms
        )

    async def begin(self) -> None:
        await self.api.follow(READER, AUTHOR)
        await self.api.follow(OTHER, UserId(3))
        await self.api.later(120)
        await self.api.upload(PHOTO, AUTHOR)
        for reader in (READER, AUTHOR, OTHER):
            await self.api.page(reader)

    async def make_ready(self) -> None:
        photos = [ReadyPhoto(PHOTO, AUTHOR, RENDITIONS)]
        await photos_ready(
            self.api.memory, self.log, photos, delivery_rules=RULES, sizes=LOCAL, now_ms=self.api.clock.ms
        )

    async def undelivered(self) -> set[PhotoId]:
        return set(await self.api.memory.undelivered.all())

    async def seconds(self, count: int) -> None:
        for _ in range(count):
            await self.api.later(1)

    async def shown(self, reader: UserId) -> tuple[list[int], Completeness]:
        page = await self.api.page(reader)
        return page.ids, page.completeness


async def new_world() -> World:
    world = World(*await world_of_two())
    await world.begin()
    return world


@pytest.mark.law("L1")
async def test_a_server_that_hangs_does_not_delay_a_delivery() -> None:
    """The photo stays undelivered until what is cached of it is invalidated, and is then delivered again."""
    world = await new_world()
    world.cache.hangs |= BOTH
    async with asyncio.timeout(10):
        await world.make_ready()
    assert world.log.fanout_log
    job, delivered = world.job(), len(world.log.fanout_log)
    for _ in range(3):
        await job.look()
    assert (await world.undelivered(), len(world.log.fanout_log)) == ({PHOTO}, delivered)

    world.cache.hangs.clear()
    assert any(await world.cache.get(keys_of_photo(PHOTO, AUTHOR)))
    await job.look()

    assert await world.cache.get(keys_of_photo(PHOTO, AUTHOR)) == [None, None]
    assert (await world.undelivered(), len(world.log.fanout_log)) == (set(), 2 * delivered)


@pytest.mark.law("L15")
async def test_no_page_that_says_complete_shows_what_a_server_had_before_it_hung() -> None:
    """Readers who do not follow the author have complete pages all the time."""
    world = await new_world()
    world.cache.hangs |= BOTH
    await world.make_ready()
    await world.seconds(8)
    assert ([9], Completeness.PARTIAL) == await world.shown(READER)  # From the database.
    assert ([], Completeness.COMPLETE) == await world.shown(OTHER)

    world.cache.hangs.clear()
    assert ([], Completeness.PARTIAL) == await world.shown(READER)
    await world.seconds(1)
    assert ([9], Completeness.COMPLETE) == await world.shown(READER)


@pytest.mark.law("L5")
async def test_a_timeline_that_is_rebuilt_from_an_old_list_gets_the_photo() -> None:
    """The first delivery finds no timeline, the rebuild reads an old list, the second one finds it."""
    world = await new_world()
    await world.api.memory.timelines.forget_all()
    world.cache.hangs |= BOTH
    await world.make_ready()
    records = [record for record in world.log.fanout_log if not isinstance(record, Backfill)]
    world.cache.hangs.clear()
    for reader in (READER, AUTHOR):
        await world.api.page(reader)
        assert PHOTO not in ring.parse(await world.api.memory.timelines.read(reader) or b"").ids
    job = world.job()
    for _ in range(2):
        await job.look()

    again = [record for record in world.log.fanout_log if not isinstance(record, Backfill)][len(records) :]
    puts = await photos_for_owners(world.api.memory, again, page_copy_s=60)
    await put_photos(world.api.memory, puts, fresh_since_ms=id_ms(PHOTO) + NOW_MS)
    assert PHOTO in ring.parse(await world.api.memory.timelines.read(AUTHOR) or b"").ids


async def test_a_photo_is_finished_whenever_the_job_is_killed() -> None:
    """Before or after any call of a store or of the outbox."""
    for number in range(CALLS_MAX):
        kills = [await is_killed(KillAt(number, done=done)) for done in (False, True)]
        if not any(kills):
            assert number > 10
            return
    raise AssertionError(f"still calls after {CALLS_MAX}")


async def is_killed(at: KillAt) -> bool:
    """Return whether the job was killed; assert that it, or the next one, finished the photo."""
    world = await new_world()
    world.cache.hangs |= BOTH
    await world.make_ready()
    world.cache.hangs.clear()
    job = world.job()
    await job.look()
    flaky = FlakyStores(world.api.memory, at)
    job.stores, job.outbox = flaky.stores, flaky.around("outbox", world.log)
    try:
        await job.look()
    except Killed:
        job = world.job()
        for _ in range(2):
            await job.look()
    assert await world.undelivered() == set()
    assert await world.cache.get(keys_of_photo(PHOTO, AUTHOR)) == [None, None]
    return at.killed


async def test_a_photo_is_left_to_its_handler_while_that_is_at_work() -> None:
    """It is not ready yet, or was not there at the look before."""
    world = await new_world()
    await world.api.memory.undelivered.begin([(PHOTO, AUTHOR)])
    job = world.job()
    for _ in range(3):
        await job.look()
    assert (await world.undelivered(), world.log.fanout_log) == ({PHOTO}, [])

    await world.make_ready()
    await world.api.memory.undelivered.begin([(PHOTO, AUTHOR)])
    delivered = len(world.log.fanout_log)
    await world.job().look()
    assert delivered == len(world.log.fanout_log)


@pytest.mark.parametrize("ends", ["delete", "reject"])
async def test_a_photo_that_nobody_may_see_is_no_longer_undelivered(ends: str) -> None:
    """Its readers need not read the author's list any more."""
    world = await new_world()
    await world.api.memory.undelivered.begin([(PHOTO, AUTHOR)])
    if ends == "delete":
        await world.api.delete(PHOTO, AUTHOR)
    else:
        await photo_rejected(world.api.memory, Log(), PHOTO, AUTHOR, "broken")
    job = world.job()
    for _ in range(2):
        await job.look()

    assert (await world.undelivered(), world.log.fanout_log) == (set(), [])


async def test_larger_renditions_are_shown_although_a_server_hung() -> None:
    """What is cached of the photo lacks them, and would be read for a day."""
    world = await new_world()
    await world.make_ready()
    await world.api.page(AUTHOR)
    made = dict.fromkeys(LARGER, RENDITIONS["thumbnail"])
    await world.api.memory.photos.add_renditions(PHOTO, made)
    world.cache.hangs |= BOTH
    task = FullTask(PHOTO, AUTHOR, "originals/9", queued_ms=0)
    await full_task(world.api.memory, world.log, FakeDecoder(), task, RenditionsWorld(objects={}).rules)
    world.cache.hangs.clear()
    key = keys_of_photo(PHOTO, AUTHOR)[:1]
    assert await world.cache.get(key) != [None]
    job = world.job()
    for _ in range(2):
        await job.look()

    assert await world.cache.get(key) == [None]


@pytest.mark.law("L2")
async def test_a_delete_waits_for_a_server_that_hangs() -> None:
    """Otherwise it would show the photo again when it goes on."""
    world = await new_world()
    world.cache.hangs |= BOTH
    with pytest.raises(StoreUnavailable):
        await world.api.delete(PHOTO, AUTHOR)


async def test_another_worker_finishes_nothing() -> None:
    """The owner of the first partition does."""
    world = await new_world()
    world.cache.hangs |= BOTH
    await world.make_ready()
    world.cache.hangs.clear()
    job = world.job(owns=False)
    for _ in range(3):
        await job.look()

    assert await world.undelivered() == {PHOTO}
