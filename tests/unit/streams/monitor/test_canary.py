"""The canary sees its posts, counts those that are late or lost, and leaves nothing behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client import REGISTRY

from schemas.facts import EventData, PhotoDeleted, PhotoUploaded, UserFollowed
from schemas.ids import PhotoId, UserId, compose_id
from streams.errors import StoreUnavailable
from streams.monitor.canary import Canary, Outcome, Post
from streams.settings import CanarySettings
from streams.settings.canary import CANARY_AUTHORS

READER = UserId(1_000)
SHARD = 8_191
NOW_MS = 1_800_000_000_000


@dataclass(slots=True)
class Pipeline:
    """Shows a post in the feed `delay_s` after it was published, until it is deleted."""

    delay_s: float = 0.3
    kafka_down: bool = False
    api_down_until_s: float = 0.0
    forgets_deletes: bool = False
    now_s: float = 100.0
    published: list[EventData] = field(default_factory=list)
    reads: int = 0
    _photos: dict[Post, float] = field(default_factory=dict)

    def canary(self) -> Canary:
        return Canary(
            publish=self.publish,
            feed=self.feed,
            reader=READER,
            shard=SHARD,
            interval_s=10.0,
            late_s=5.0,
            wait_s_max=30.0,
            clock_ms=lambda: NOW_MS + int(self.now_s * 1_000),
            clock_s=lambda: self.now_s,
            sleep=self.sleep,
        )

    async def publish(self, event_data: EventData) -> None:
        if self.kafka_down or (self.forgets_deletes and isinstance(event_data, PhotoDeleted)):
            raise StoreUnavailable("kafka", "produce", "down")
        self.published.append(event_data)
        if isinstance(event_data, PhotoUploaded):
            self._photos[_post(event_data)] = self.now_s + self.delay_s
        if isinstance(event_data, PhotoDeleted):
            self._photos.pop(_post(event_data), None)

    async def feed(self) -> Sequence[Post]:
        self.reads += 1
        if self.now_s < self.api_down_until_s:
            raise StoreUnavailable("api", "feed", "down")
        return sorted((post for post, at_s in self._photos.items() if at_s <= self.now_s), reverse=True)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def add(self, post: Post) -> None:
        self._photos[post] = 0.0

    @property
    def photos(self) -> set[Post]:
        return set(self._photos)


def _post(event_data: PhotoUploaded | PhotoDeleted) -> Post:
    return Post(PhotoId(event_data.photo_id), UserId(event_data.author_id))


def observed() -> tuple[float, float]:
    """The observations of the freshness, and their sum."""
    name = "shutterline_canary_freshness_seconds"
    values = [REGISTRY.get_sample_value(f"{name}_{kind}") for kind in ("count", "sum")]
    return values[0] or 0.0, values[1] or 0.0


async def test_a_post_is_seen_and_deleted() -> None:
    """Its author is followed first, the freshness is that of the first page with it."""
    pipeline = Pipeline()
    count, total_s = observed()
    assert Outcome.SEEN == await pipeline.canary().post()

    assert [UserFollowed, PhotoUploaded, PhotoDeleted] == [type(event) for event in pipeline.published]
    assert set() == pipeline.photos
    assert (count + 1, True) == (observed()[0], 0.3 <= observed()[1] - total_s <= 0.5)
    seen_s = REGISTRY.get_sample_value("shutterline_canary_seen_timestamp_seconds")
    assert pytest.approx(NOW_MS / 1_000 + pipeline.now_s, abs=0.01) == seen_s


async def test_a_post_after_five_seconds_is_late() -> None:
    assert Outcome.SEEN == await Pipeline(delay_s=4.0).canary().post()
    assert Outcome.LATE == await Pipeline(delay_s=5.5).canary().post()


async def test_a_post_that_is_never_seen_has_failed_and_is_deleted() -> None:
    """It may be delivered later; the reads become fewer meanwhile."""
    pipeline = Pipeline(delay_s=60.0)
    count, _ = observed()
    assert Outcome.FAILED == await pipeline.canary().post()

    assert set() == pipeline.photos
    assert count == observed()[0]
    assert 60 > pipeline.reads


async def test_it_goes_on_while_kafka_or_the_api_is_down() -> None:
    pipeline = Pipeline(kafka_down=True)
    canary = pipeline.canary()
    assert Outcome.FAILED == await canary.post()
    assert 0 == pipeline.reads
    pipeline.kafka_down, pipeline.api_down_until_s = False, pipeline.now_s + 100
    assert Outcome.FAILED == await canary.post()
    pipeline.api_down_until_s = pipeline.now_s + 2
    assert Outcome.SEEN == await canary.post()
    assert set() == pipeline.photos


async def test_what_a_killed_canary_left_is_deleted_by_the_next() -> None:
    """Photos of others stay, also of the accounts next to the canary's."""
    pipeline = Pipeline()
    left = {Post(PhotoId(5), UserId(author)) for author in (READER + 1, READER + CANARY_AUTHORS)}
    others = {Post(PhotoId(6), UserId(author)) for author in (7, READER, READER + CANARY_AUTHORS + 1)}
    for post in left | others:
        pipeline.add(post)
    await pipeline.canary().post()

    assert others == pipeline.photos


async def test_a_post_that_another_monitor_waits_for_stays() -> None:
    pipeline = Pipeline()
    now_ms = NOW_MS + int(pipeline.now_s * 1_000)
    ages_ms = {age_ms: PhotoId(compose_id(now_ms - age_ms, SHARD, 1)) for age_ms in (500, 29_000, 31_000)}
    for photo in ages_ms.values():
        pipeline.add(Post(photo, UserId(READER + 7)))
    await pipeline.canary().post()

    assert {ages_ms[500], ages_ms[29_000]} == {post.photo_id for post in pipeline.photos}


async def test_a_bug_counts_as_a_failure_and_does_not_end_the_monitor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline = Pipeline()
    outcomes: list[Outcome] = []

    async def feed() -> Sequence[Post]:
        if len(outcomes) == 0:
            raise TypeError("wrong")
        return await pipeline.feed()

    def noted(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == 2:
            raise asyncio.CancelledError

    canary = replace(pipeline.canary(), feed=feed, noted=noted)
    with pytest.raises(asyncio.CancelledError):
        await canary.run()

    assert [Outcome.FAILED, Outcome.SEEN] == outcomes
    assert ["ERROR"] == [record.levelname for record in caplog.records]


async def test_what_could_not_be_deleted_is_deleted_later() -> None:
    pipeline = Pipeline(forgets_deletes=True)
    canary = pipeline.canary()
    for _ in range(3):
        pipeline.now_s += 10
        assert Outcome.SEEN == await canary.post()
    assert 3 == len(pipeline.photos)
    pipeline.forgets_deletes = False
    pipeline.now_s += 40
    await canary.post()

    assert set() == pipeline.photos


async def test_the_authors_take_turns_and_are_followed_once() -> None:
    """So none has more deleted photos in its list than Cassandra reads past."""
    pipeline = Pipeline(delay_s=0.0)
    canary = pipeline.canary()
    for _ in range(2 * CANARY_AUTHORS):
        pipeline.now_s += 10
        await canary.post()
    follows = [event for event in pipeline.published if isinstance(event, UserFollowed)]
    uploads = [event for event in pipeline.published if isinstance(event, PhotoUploaded)]

    assert [READER + 1 + number for number in range(CANARY_AUTHORS)] == [
        event.followee_id for event in follows
    ]
    assert 2 * CANARY_AUTHORS == len({event.photo_id for event in uploads})
    assert {2} == {sum(upload.author_id == event.followee_id for upload in uploads) for event in follows}


def test_its_ids_are_valid_and_off_is_the_default() -> None:
    settings = CanarySettings()

    assert 0 == settings.canary_interval_ms
    assert settings.canary_user + CANARY_AUTHORS < 2**63


@pytest.mark.parametrize("interval_ms", [0, 1_000, 15_000])
def test_its_interval_is_0_or_one_that_its_alerts_expect(interval_ms: int) -> None:
    assert interval_ms == CanarySettings(canary_interval_ms=interval_ms).canary_interval_ms


@pytest.mark.parametrize("interval_ms", [1, 999, 15_001])
def test_another_interval_is_refused_with_the_rule(interval_ms: int) -> None:
    """A slower canary would be taken for one that fails."""
    with pytest.raises(ValueError, match=f"canary_interval_ms={interval_ms} must be 0 or from 1000 to 15000"):
        CanarySettings(canary_interval_ms=interval_ms)
