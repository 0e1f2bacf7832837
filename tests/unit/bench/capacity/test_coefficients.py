"""The committed coefficients are what the code and the settings say, and results replace them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.capacity import coefficients as committed
from bench.capacity.bill import CHILDREN
from bench.capacity.coefficients import COMMITTED, CapacityError, How, Part, Work, taken_from
from bench.capacity.demand import CACHED_LIKES_MAX
from bench.measuring import samples, workload
from bench.measuring.samples import Costs, Sample
from bench.traffic.events import fresh_photo_ids, photo_of
from schemas.events import encode_event
from schemas.facts import EventData, PhotoLiked, UserFollowed
from schemas.ids import PhotoId, UserId
from schemas.internal import (
    Backfill,
    EdgeRecord,
    FanoutPosts,
    SetKind,
    ThumbnailTask,
    encode_fanout,
    encode_task,
)
from streams.core.photos import SeenPhoto, Status
from streams.core.ring import HEADER_BYTES
from streams.settings import RenditionSettings, TimelineSettings
from streams.stores.cache.cached_reads import LIKES_CACHED_MAX
from streams.stores.cache.codecs import encode_photo
from topics.routing import route_of

NOW_MS = 1_796_000_000_000
USER, OTHER = UserId(412_345_678_901_234_567), UserId(412_345_678_901_234_568)


def record_bytes(event: EventData) -> int:
    key, value, headers = encode_event(
        route_of(event).event_type, event, id="0" * 36, source="/shutterline/api", time_us=NOW_MS * 1_000
    )
    return len(key) + len(value) + sum(len(name) + len(text) for name, text in headers)


def seen_photo(photo: PhotoId) -> SeenPhoto:
    """A photo of `photo_of`, as readers' rows in Redis have it."""
    uploaded = photo_of(photo, USER)
    renditions = [
        (name, rendition.object_key, rendition.width, rendition.height)
        for name, rendition in (uploaded.renditions or {}).items()
    ]
    created_at = datetime.now(UTC).isoformat()
    return SeenPhoto(photo, USER, created_at, uploaded.caption, Status.READY, None, False, renditions)


def sizes_by_code() -> dict[str, float]:
    """What the code makes of an example, by the name of the coefficient."""
    (photo,) = fresh_photo_ids(1)
    uploaded = photo_of(photo, USER)
    posts = FanoutPosts(NOW_MS, ((photo, USER, 0, 2**48),) * 5)
    task = ThumbnailTask(photo, USER, f"shutterline/originals/{photo}.jpg", NOW_MS)
    return {
        "upload_record": record_bytes(uploaded),
        "follow_record": record_bytes(UserFollowed(follower_id=USER, followee_id=OTHER)),
        "like_record": record_bytes(PhotoLiked(user_id=USER, photo_id=photo)),
        "edge_in_record": len(EdgeRecord(SetKind.LIKERS, USER, photo, NOW_MS, False).encode()),
        "post_in_fanout_record": len(encode_fanout(posts)) / 5,
        "backfill_in_record": len(encode_fanout(Backfill(((USER, OTHER),) * 50))) / 50,
        "rendition_task": len(encode_task(task)),
        "cached_photo": len(encode_photo(seen_photo(photo))),
        "photo_row": len(
            encode_event(route_of(uploaded).event_type, uploaded, id="i", source="s", time_us=1)[1]
        ),
        "cached_followee": 16,
        "cached_like": 8,
    }


def test_computed_bytes_are_what_the_code_writes() -> None:
    """If an encoding changes, its coefficient must, too."""
    computed = {name: each.value for name, each in COMMITTED.sizes.items() if each.how is How.COMPUTED}

    assert computed == pytest.approx(sizes_by_code(), rel=0.05)


def test_a_timeline_is_its_ring_and_a_little_more() -> None:
    """Redis adds the key and its own bookkeeping to the ring."""
    ring_bytes = HEADER_BYTES + 8 * TimelineSettings.model_fields["timeline_slots"].default
    overhead = COMMITTED.bytes_of("redis_value_overhead")

    assert ring_bytes + overhead == COMMITTED.bytes_of("timeline")


def test_what_the_model_repeats_is_what_others_say() -> None:
    """The model imports no server code, so it repeats some numbers and names."""
    assert committed.POST_FOLLOWERS == workload.POST_FOLLOWERS
    assert committed.MAIN == samples.MAIN
    assert {work.value for work in Work} < set(workload.LINES)
    assert {part.value for part in Part} < set(samples.PROCESSES)
    assert CACHED_LIKES_MAX == LIKES_CACHED_MAX
    children = RenditionSettings.model_fields
    assert {CHILDREN} == {children[f"{kind}_children_max"].default for kind in ("thumbnail", "full")}


def result_file(folder: Path, *, idle: dict[str, float] | None = None, **others: object) -> Path:
    """A result of `bench.costs`, with one line: 2 ms of each process a like, in 4 ms."""
    costs = Costs()
    costs.add("like", "main", Sample(dict.fromkeys(samples.PROCESSES, 2.0), rate=500.0, counted_s=0.004))
    result = {"at": "2027-01-02T03:04:05+00:00", "lines": costs.as_json(), **others}
    path = folder / "costs.json"
    path.write_text(json.dumps(result | ({"idle": idle} if idle else {})))
    return path


def test_a_result_of_the_bench_of_costs_replaces_its_lines(tmp_path: Path) -> None:
    """The other lines are the committed ones, and the source says which file it was."""
    taken = taken_from(result_file(tmp_path), COMMITTED)

    assert [2.0] * 4 == [taken.ms(Work.LIKE, part) for part in Part if part is not Part.API]
    assert ("costs.json, line like", "2027-01-02") == (
        taken.cpu_ms[Work.LIKE, Part.KAFKA].source,
        taken.cpu_ms[Work.LIKE, Part.KAFKA].date,
    )
    assert COMMITTED.ms(Work.FOLLOW, Part.WORKER) == taken.ms(Work.FOLLOW, Part.WORKER)


def test_what_a_process_uses_without_work_is_no_cost_of_it(tmp_path: Path) -> None:
    """A quarter of a core for the 4 ms of a like is 1 ms of its 2."""
    taken = taken_from(result_file(tmp_path, idle={"worker": 0.25, "client": 1.0}), COMMITTED)

    assert 1.0 == pytest.approx(taken.ms(Work.LIKE, Part.WORKER))
    assert {Part.WORKER: 0.25} == taken.idle_cores


def test_an_api_that_has_no_part_in_likes_costs_nothing(tmp_path: Path) -> None:
    """Likes come through Kafka: what the API used meanwhile was for nothing."""
    assert taken_from(result_file(tmp_path), COMMITTED).ms(Work.LIKE, Part.API) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no result of bench.costs"),
        ('{"lines": {}}', "no result of bench.costs"),
        ('{"at": "2027-01-02", "lines": {"like": {}}}', "line like: KeyError 'main'"),
        ('{"at": "2027-01-02", "lines": {"like": {"main": {"cpu_ms": {}}}}}', "line like: KeyError"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The line names the file and what is wrong with it."""
    path = tmp_path / "other.json"
    path.write_text(text)

    with pytest.raises(CapacityError, match=message) as refused:
        taken_from(path, COMMITTED)

    assert "\n" not in str(refused.value)
