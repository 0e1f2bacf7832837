"""What a load asks for: pieces of work, cores, bytes a second, bytes stored. Nothing is rounded here."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.capacity.coefficients import POST_FOLLOWERS, Coefficients, Part, Work
from bench.capacity.load import DAY_S, Assumptions, Load
from streams.roles import Role
from topics.catalogue import EDGES, FANOUT, FOLLOWS, LIKES, RENDITIONS, UPLOADS, Topic

# What the API caches of a user's likes: `LIKES_CACHED_MAX` in streams/stores/cache/cached_reads.py.
CACHED_LIKES_MAX = 500
PAGE_PHOTOS = 20
FANOUT_RECORD_DELIVERIES = 1_000


def work_of(load: Load, assumed: Assumptions) -> Mapping[Work, float]:
    """Return the pieces of work a second at the peak.

    A post is measured with deliveries to `POST_FOLLOWERS`. So of deliveries, there are those above that
    number; below it, there are fewer than none.
    """
    return {
        Work.FOLLOW: load.follows,
        Work.LIKE: load.likes,
        Work.POST: load.uploads,
        Work.DELIVERY: load.uploads * (assumed.followers_a_post - POST_FOLLOWERS),
        Work.PAGE: load.reads * (1 - assumed.cold_pages),
        Work.REBUILD: load.reads * assumed.cold_pages,
    }


def cpu_s(work: Mapping[Work, float], coefficients: Coefficients) -> Mapping[Part, float]:
    """Return the seconds of CPU that so many pieces of work take in each kind of process, at least 0."""
    return {
        part: max(0.0, sum(count * coefficients.ms(kind, part) for kind, count in work.items()) / 1_000)
        for part in Part
    }


@dataclass(frozen=True, slots=True)
class WorkerCores:
    """Cores of workers at the peak: those of the check stage by topic, those of the other roles."""

    checking: Mapping[Topic, float]
    roles: Mapping[Role, float]


def worker_cores(load: Load, assumed: Assumptions, coefficients: Coefficients) -> WorkerCores:
    """Split the workers' CPU by role: an edge has two stages, a post is checked and delivered."""
    follow, like, post, delivery = (
        coefficients.ms(work, Part.WORKER) / 1_000 / assumed.core_speed
        for work in (Work.FOLLOW, Work.LIKE, Work.POST, Work.DELIVERY)
    )
    second = assumed.edges_stage_share
    checking = {
        UPLOADS: load.uploads * max(0.0, post - POST_FOLLOWERS * delivery),
        FOLLOWS: load.follows * follow * (1 - second),
        LIKES: load.likes * like * (1 - second),
    }
    delivering = load.uploads * assumed.followers_a_post * delivery
    return WorkerCores(
        checking,
        {
            Role.CHECK: sum(checking.values()),
            Role.EDGES: (load.follows * follow + load.likes * like) * second,
            Role.NORMAL: delivering * (1 - assumed.bulk_share),
            Role.BULK: delivering * assumed.bulk_share,
            Role.THUMBNAIL: load.uploads * assumed.thumbnail_cpu_s / assumed.core_speed,
            Role.FULL: load.uploads * assumed.full_cpu_s / assumed.core_speed,
        },
    )


def fanout_records(load: Load, assumed: Assumptions) -> float:
    """Return the records of `fanout` a second at the peak, in both lanes; each has 1,000 deliveries."""
    return load.uploads * assumed.followers_a_post / FANOUT_RECORD_DELIVERIES


def kafka_bytes(load: Load, coefficients: Coefficients) -> Mapping[Topic, float]:
    """Return the bytes a second at the peak that producers send to each topic."""
    size = coefficients.bytes_of
    edges = load.follows + load.likes + load.uploads  # Ready photos are edges, too.
    return {
        UPLOADS: load.uploads * size("upload_record"),
        FOLLOWS: load.follows * size("follow_record"),
        LIKES: load.likes * size("like_record"),
        EDGES: edges * size("edge_in_record"),
        FANOUT: load.uploads * size("post_in_fanout_record") + load.follows * size("backfill_in_record"),
        RENDITIONS: 2 * load.uploads * size("rendition_task"),
    }


def kafka_stored_bytes(load: Load, assumed: Assumptions, coefficients: Coefficients) -> float:
    """Return the bytes of all topics within their retention, one replica."""
    return assumed.mean_load * sum(
        bytes_per_s * topic.retention_ms / 1_000
        for topic, bytes_per_s in kafka_bytes(load, coefficients).items()
    )


def stored(per_s: float, assumed: Assumptions) -> float:
    """Return how many of what comes `per_s` at the peak there are after `stored_days`."""
    return per_s * assumed.mean_load * DAY_S * assumed.stored_days


def cassandra_bytes(load: Load, assumed: Assumptions, coefficients: Coefficients) -> float:
    """Return the bytes of all rows, one replica: edges and likes twice each, photos three times."""
    size = coefficients.bytes_of
    photo = size("photo_row") + size("photos_by_author_row") + size("counted_set_row")
    return (
        load.edges * (size("following_row") + size("counted_set_row"))
        + stored(load.likes, assumed) * (size("likes_by_user_row") + size("counted_set_row"))
        + stored(load.uploads, assumed) * photo
    )


def reader_bytes(load: Load, assumed: Assumptions, coefficients: Coefficients) -> float:
    """Return what Redis caches of a reader, beside the timeline: the followees and the newest likes."""
    size = coefficients.bytes_of
    likes = min(CACHED_LIKES_MAX, stored(load.likes, assumed) / load.users)
    return (
        2 * size("redis_value_overhead")
        + load.edges / load.users * size("cached_followee")
        + likes * size("cached_like")
    )


def redis_bytes(load: Load, assumed: Assumptions, coefficients: Coefficients) -> float:
    """Return the bytes in all primaries: timelines, what is cached of readers, and rows of photos."""
    size = coefficients.bytes_of
    photos = load.uploads * assumed.mean_load * DAY_S * assumed.cached_photo_days
    return load.users * (
        assumed.timelines_a_user * size("timeline") + reader_bytes(load, assumed, coefficients)
    ) + photos * (size("cached_photo") + size("redis_value_overhead"))


def redis_bytes_per_s(load: Load, assumed: Assumptions, coefficients: Coefficients) -> float:
    """Return the bytes a second at the peak that pages read from Redis."""
    size = coefficients.bytes_of
    a_page = size("timeline") + reader_bytes(load, assumed, coefficients) + PAGE_PHOTOS * size("cached_photo")
    return load.reads * a_page
