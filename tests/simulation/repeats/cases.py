"""The handlers that `test_repeats.py` kills at every call: of events, of tasks, of batches, and the jobs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from schemas.events import EventType
from schemas.facts import PhotoLiked, PhotoUnliked, UserFollowed, UserUnfollowed
from schemas.internal import SetKind
from streams.core.delivery import Overload
from streams.photos.rejected import upload_dead_lettered
from tests.simulation.repeats.handlers import (
    backfilled,
    cleaned,
    counted,
    dead_like,
    events,
    follows,
    full,
    likes,
    looked_at,
    posts,
    recounted,
    rejection,
    removal,
    thumbnail,
)
from tests.simulation.repeats.setup import (
    DELETED,
    NOW_US,
    THEIRS,
    broken,
    broken_later,
    completed,
    deleted,
    followed,
    followed_by_many,
    found_missing,
    given,
    in_set,
    liked,
    much_later,
    one_before,
    original,
    parked,
    parked_long,
    processing,
    ready,
    rejected,
    timeline,
    tombstone,
    unfollowed_over_http,
    upload,
    uploaded,
    without_large,
    without_objects,
)
from tests.simulation.repeats.world import AUTHOR, FANS, OTHER, PHOTO, READER, SECOND, Case, Process

Run = Callable[[], Awaitable[object]]
FOLLOW = UserFollowed(follower_id=READER, followee_id=AUTHOR)
UNFOLLOW = UserUnfollowed(follower_id=READER, followee_id=AUTHOR)
LIKE, UNLIKE = PhotoLiked(photo_id=PHOTO, user_id=READER), PhotoUnliked(photo_id=PHOTO, user_id=READER)
BREAKER = Overload(is_breaker_open=True)
FOLLOWERS, LIKERS = SetKind.FOLLOWERS, SetKind.LIKERS
# An original that cannot be looked for is looked for again later.
SIZE = frozenset({"size"})

CASES = [
    Case("a follow", follows(EventType.USER_FOLLOWED, FOLLOW)),
    Case("an unfollow", follows(EventType.USER_UNFOLLOWED, UNFOLLOW), given(followed)),
    Case("a follow removed over HTTP", follows(EventType.USER_FOLLOWED, FOLLOW), given(unfollowed_over_http)),
    Case("a like", likes(EventType.PHOTO_LIKED, LIKE), given(ready)),
    Case("an unlike", likes(EventType.PHOTO_UNLIKED, UNLIKE), given(ready, liked)),
    Case("a like that became a dead letter", dead_like, given(ready, liked)),
    Case(
        "a batch of edges",
        counted(
            *(in_set(FOLLOWERS, fan, author) for fan in FANS for author in (AUTHOR, OTHER)),
            in_set(FOLLOWERS, READER, OTHER, removed=True),
            in_set(LIKERS, READER, PHOTO),
            in_set(SetKind.READY_PHOTOS, PHOTO, AUTHOR),
        ),
        given(ready, followed),
    ),
    Case(
        "a set that outgrows its level",
        counted(*(in_set(FOLLOWERS, fan, AUTHOR) for fan in FANS), members_max=2),
        given(followed),
    ),
    Case("a recount", recounted, given(followed)),
    Case("an upload", events(uploaded(PHOTO)), given(original), may_fail=SIZE),
    Case("an upload whose original is late", events(uploaded(PHOTO))),
    Case(
        "pushed uploads",
        events(uploaded(PHOTO, THEIRS), uploaded(SECOND, THEIRS)),
        given(one_before, followed),
    ),
    Case("a pulled upload", events(uploaded(PHOTO, THEIRS)), given(one_before, followed_by_many)),
    Case(
        "a deferred upload",
        events(uploaded(PHOTO, THEIRS), overload=BREAKER),
        given(one_before, followed),
    ),
    Case("a deleted upload", events(uploaded(PHOTO)), given(original, tombstone)),
    Case("an upload and its delete", events(uploaded(SECOND, THEIRS), DELETED), given(ready)),
    Case("a delete of a ready photo", events(DELETED), given(original, ready)),
    Case("a delete before its upload", events(DELETED)),
    Case(
        "an upload that became a dead letter",
        lambda process: (
            lambda: upload_dead_lettered(
                process.stores, process.outbox, PHOTO, AUTHOR, "invalid_data", waits_s=(0,)
            )
        ),
        given(processing),
    ),
    Case("a rejection of a ready photo", rejection, given(ready)),
    Case("a thumbnail", thumbnail, given(original, processing, one_before, followed)),
    Case("a thumbnail of a pulled author", thumbnail, given(original, processing, followed_by_many)),
    Case("a thumbnail of a broken original", thumbnail, given(broken, processing)),
    Case("a thumbnail without original", thumbnail, given(processing)),
    Case("a thumbnail of a deleted photo", thumbnail, given(original, processing, deleted)),
    Case("full renditions", full, given(original, ready)),
    Case("full renditions of a broken original", full, given(broken_later, ready)),
    Case("full renditions of a rejected photo", full, given(original, ready, rejected)),
    Case("a removal", removal, given(original, ready, deleted)),
    Case("posts", posts, given(followed, timeline, ready)),
    Case("a backfill", backfilled, given(followed, timeline, ready, one_before)),
    Case("a parked photo that arrived", looked_at, given(processing, original, parked)),
    Case("a parked photo that never arrived", looked_at, given(processing, parked_long)),
    Case("a parked photo that waits", looked_at, given(processing, parked)),
    Case("the cleaning of a completed upload", cleaned, given(upload, completed, much_later)),
    Case("the cleaning of an unfinished upload", cleaned, given(upload, much_later)),
    Case("the cleaning of a lost rendition", cleaned, given(original, without_large, much_later)),
    Case(
        "the cleaning of a rendition lost for good", cleaned, given(without_large, found_missing, much_later)
    ),
    Case("the cleaning of a photo that is lost", cleaned, given(without_objects, found_missing, much_later)),
]


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A case whose process is paused while another one handles the same, and `later`, which follows it.

    `is_ordered`: both are of one partition, so `later` is never handled before the case is.
    """

    case: Case
    later: Callable[[Process], Run]
    is_ordered: bool = False


JOINED = tuple(in_set(FOLLOWERS, fan, AUTHOR) for fan in FANS)
LEFT = tuple(in_set(FOLLOWERS, fan, AUTHOR, later_us=1, removed=True) for fan in FANS[1:])
ANNOUNCED = given(original, processing, one_before, followed)
OVERTAKEN = [
    Overtaken(
        Case("a follow, then an unfollow", follows(EventType.USER_FOLLOWED, FOLLOW)),
        follows(EventType.USER_UNFOLLOWED, UNFOLLOW, NOW_US + 1),
    ),
    Overtaken(
        Case("a like, then an unlike", likes(EventType.PHOTO_LIKED, LIKE), given(ready)),
        likes(EventType.PHOTO_UNLIKED, UNLIKE, NOW_US + 1),
    ),
    Overtaken(
        Case("an unlike, then a like", likes(EventType.PHOTO_UNLIKED, UNLIKE), given(ready, liked)),
        likes(EventType.PHOTO_LIKED, LIKE, NOW_US + 1),
    ),
    Overtaken(
        Case("a batch of edges, then another", counted(*JOINED, members_max=2), given(followed)),
        counted(*LEFT, begin=4, members_max=2),
        is_ordered=True,
    ),
    Overtaken(
        Case("uploads, then a delete", events(uploaded(PHOTO, THEIRS)), given(one_before, followed)),
        events(DELETED),
    ),
    Overtaken(Case("a thumbnail, then a delete", thumbnail, ANNOUNCED), events(DELETED)),
    Overtaken(Case("a thumbnail, then a rejection", thumbnail, ANNOUNCED), rejection),
    Overtaken(Case("full renditions, then a delete", full, given(original, ready)), events(DELETED)),
    Overtaken(
        Case("the cleaning, then a new rendition", cleaned, given(original, without_large, much_later)), full
    ),
]
