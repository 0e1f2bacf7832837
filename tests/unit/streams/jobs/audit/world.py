"""An auditor over stores in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from schemas.ids import ID_MAX, PhotoId, UserId, first_id_at
from schemas.internal import READY_TIME_US, Backfill, EdgeRecord, RenditionTask, SetKind
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.sets import BucketKey, BucketWrite
from streams.edges.changed import write_follows, write_likes
from streams.edges.counting import SetWriter
from streams.jobs.audit.audit import Audited, make_auditor
from streams.jobs.audit.repairs import Repairs
from streams.ports.publishing import FanoutMessage
from streams.settings import AuditSettings
from streams.timelines.rebuild import database_rebuilder
from tests.worlds.api import NOW_MS, make_world
from tests.worlds.api import World as Api
from topics.catalogue import Lane

ME, AUTHOR, OTHER = UserId(1), UserId(2), UserId(3)
ROW_LIFE_S = 60
PHOTOS = tuple(PhotoId(first_id_at(NOW_MS - 3_600_000) + number) for number in range(5))


@dataclass
class AuditWorld:
    """ME follows AUTHOR, who has posted `PHOTOS`, and likes the first of them; nothing differs.

    The log is applied when the auditor waits for it, and at once unless `is_holding`. With `is_behind` that
    takes too long. `page_level_min` and `known_rows_max` as of `SetWriter`.
    """

    api: Api
    page_level_min: int
    known_rows_max: int
    is_holding: bool = False
    is_behind: bool = False
    log: list[EdgeRecord] = field(default_factory=list)
    offset: int = 0
    writer: SetWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = SetWriter(
            self.api.memory.counted_sets,
            self.api.memory.cache,
            self,
            bucket_members_max=1_000,
            backfill_follows_max=10,
            generation=1,
            page_level_min=self.page_level_min,
            known_rows_max=self.known_rows_max,
        )

    async def follow(self, follower: UserId, followee: UserId) -> None:
        stores = self.api.memory
        edges = [(follower, followee, Membership(self.api.clock.us(), removed=False))]
        await write_follows(stores.outgoing_edges, stores.removal_marks, stores.cache, self, edges)

    async def like(self, user: UserId, photo: PhotoId) -> None:
        stores = self.api.memory
        edges = [(user, photo, Membership(self.api.clock.us(), removed=False))]
        await write_likes(stores.outgoing_edges, stores.removal_marks, stores.cache, self, edges)

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        self.log += records
        if not self.is_holding:
            await self.applied()

    async def applied(self) -> bool:
        if self.is_behind:
            return False
        records, self.log = self.log, []
        if records:
            self.offset += 1
            await self.writer.apply(records, self.offset - 1, self.offset)
        return True

    async def recount(self, buckets: Sequence[BucketKey]) -> None:
        self.offset += 1
        await self.writer.recount(buckets, self.offset)

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        """Apply backfills, which are all that the writer of sets publishes."""
        stores = self.api.memory
        for message in messages:
            assert isinstance(message.record, Backfill)
            for owner, author in message.record.follows:
                listed = await stores.author_photos.newest([author], below=ID_MAX, each_max=20)
                await stores.timelines.merge(owner, [photo.photo_id for photo in listed[author]])
        return {}

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None:
        raise AssertionError("no repair makes renditions")

    async def delete_row(self, kind: OutgoingEdge, member: UserId, owner: int) -> None:
        """Lose a row of an outgoing edge as by `DELETE`: no write of before now brings it back."""
        removed = Membership(self.api.clock.us(), removed=True)
        await self.api.memory.outgoing_edges.write(kind, member, owner, removed)
        await self.api.later(ROW_LIFE_S + 1)

    async def delete_member(self, key: BucketKey, member: int) -> None:
        """Lose a row of a counted set as by `DELETE`."""
        removed = Membership(self.api.clock.us(), removed=True)
        await self.write(BucketWrite(key, {member: removed}, count=None, summary=None, stamp=0))
        await self.api.later(ROW_LIFE_S + 1)

    async def write(self, write: BucketWrite) -> None:
        await self.api.memory.counted_sets.write([write])

    async def audit(self, *users: UserId, repair: bool = True, seed: int = 1) -> Audited:
        """Audit these users, or both."""
        stores, settings = self.api.memory, AuditSettings()
        rebuilder = database_rebuilder(stores, stores.outgoing_edges, settings)
        repairs = Repairs(stores, self, self, rebuilder)
        auditor = make_auditor(stores, settings, self.applied, repairs if repair else None, seed)
        return await replace(auditor, clock_ms=lambda: self.api.clock.ms).audit(users or (ME, AUTHOR))


async def make_audit_world(*, page_level_min: int = 2, known_rows_max: int = 32) -> AuditWorld:
    world = AuditWorld(await make_world(removed_edge_ttl_s=ROW_LIFE_S), page_level_min, known_rows_max)
    await world.follow(ME, AUTHOR)
    for photo in PHOTOS:
        await world.api.post(photo, AUTHOR)
    await world.edges(
        [EdgeRecord(SetKind.READY_PHOTOS, photo, AUTHOR, READY_TIME_US, removed=False) for photo in PHOTOS]
    )
    await world.like(ME, PHOTOS[0])
    await world.api.page(ME)
    await world.api.later(120)
    return world
