"""A world for the tests of the cleaning: stores in memory, a clock moved by hand, an outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from schemas.facts import EventData, PhotoUploaded
from schemas.ids import PhotoId, compose_id
from schemas.internal import EdgeRecord, RemovalTask, RenditionTask
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Photo, StoredRendition
from streams.jobs.cleaning.job import PAGE_MAX, RETRY_S, CleaningJob
from streams.jobs.cleaning.report import CleaningReport, Inconsistency
from streams.photos.begun import photo_begun
from streams.ports.groups import CleaningStores, Stores
from streams.ports.publishing import FanoutMessage
from streams.settings import Settings
from streams.stores.memory.stores import memory_stores
from tests.worlds.abandoned import AUTHOR
from tests.worlds.deliveries import PUSHED
from topics.catalogue import Lane

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NAMES = ("thumbnail", "small", "medium", "large")


class Tasks:
    """A fake outbox; `asked` lists the published rendition tasks with their lanes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Lane, RenditionTask]] = []
        self.edge_records: list[EdgeRecord] = []

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        self.edge_records += records

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        raise AssertionError("the cleaning delivers nothing")

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None:
        self.asked += [(lane, task) for task in tasks]

    def removals(self) -> list[RemovalTask]:
        return [task for _, task in self.asked if isinstance(task, RemovalTask)]


class Events:
    """A fake publisher; `uploaded` is the set of photos in the published events."""

    def __init__(self) -> None:
        self.uploaded: set[PhotoId] = set()

    async def publish(self, event_data: EventData, *, time_us: int) -> None:
        assert isinstance(event_data, PhotoUploaded)
        self.uploaded.add(PhotoId(event_data.photo_id))

    async def ping(self) -> None:
        pass


@dataclass(slots=True)
class CleaningWorld:
    """Tests read and write `stores`; a job may use other stores, for example failing ones."""

    settings: Settings = field(
        default_factory=lambda: Settings(_env_file=None, cleaning_calls_in_flight_max=1)
    )
    now_ms: int = 1_800_000_000_000
    tasks: Tasks = field(default_factory=Tasks)
    events: Events = field(default_factory=Events)
    page_max: int = PAGE_MAX
    stores: Stores = field(init=False)
    _numbers: "count[int]" = field(default_factory=count, init=False)

    def __post_init__(self) -> None:
        self.stores = memory_stores(clock_ms=lambda: self.now_ms)

    @property
    def keys(self) -> ObjectKeys:
        return ObjectKeys(self.settings.object_prefix)

    def mint(self, *, age_ms: int = 0) -> PhotoId:
        return PhotoId(compose_id(self.now_ms - age_ms, 1, next(self._numbers) % 1_024))

    def job(self, stores: CleaningStores | None = None, *, retry_s: float = RETRY_S) -> CleaningJob:
        return CleaningJob(
            self.settings,
            self.settings,
            stores or self.stores,
            self.tasks,
            self.events,
            retry_s=retry_s,
            page_max=self.page_max,
        )

    async def clean(self, *, whole: bool = False) -> CleaningReport:
        return await self.job().run_once(self.now_ms, whole=whole)

    async def ready_photo(self, *, age_ms: int = 2 * DAY_MS, original: bool = True) -> PhotoId:
        """Store a ready photo with all its renditions; all of them are `age_ms` old."""
        now_ms, photo = self.now_ms, self.mint(age_ms=age_ms)
        self.now_ms -= age_ms
        key = self.keys.original(photo)
        if original:
            await self.stores.media_objects.put(key, b"original", content_type="image/jpeg")
        await photo_begun(self.stores, _photo(photo, key, self.now_ms))
        made = {
            name: StoredRendition(object_key=self.rendition(photo, name), width=1, height=1) for name in NAMES
        }
        for stored in made.values():
            await self.stores.media_objects.put(stored.object_key, b"made", content_type="image/jpeg")
        await self.stores.photos.mark_ready({photo: made}, {photo: PUSHED})
        await self.stores.author_photos.add([(photo, AUTHOR)], ready=True)
        self.now_ms = now_ms
        return photo

    def rendition(self, photo: PhotoId, name: str, digit: str = "a") -> str:
        return self.keys.rendition(photo, name, digit * 64, "jpg")

    async def put(self, object_key: str, *, age_ms: int = 0, body: bytes = b"x") -> None:
        self.now_ms -= age_ms
        await self.stores.media_objects.put(object_key, body, content_type="image/jpeg")
        self.now_ms += age_ms

    async def everything(self) -> set[str]:
        """The keys of all objects in the bucket."""
        return {stored.object_key for stored in await self.stores.media_objects.list("", limit=1_000)}


def counts(report: CleaningReport) -> dict[Inconsistency, tuple[int, int]]:
    """Return (found, settled) for each kind of inconsistency that was found."""
    return {kind: (tally.found, tally.settled) for kind, tally in report.tallies.items() if tally.found}


def _photo(photo: PhotoId, object_key: str, now_ms: int) -> Photo:
    return Photo(
        photo_id=photo,
        author_id=AUTHOR,
        created_at=datetime.fromtimestamp(now_ms / 1_000, UTC),
        caption="",
        object_key=object_key,
        content_type="image/jpeg",
        renditions={},
    )
