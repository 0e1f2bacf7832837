"""What the events and the records of the pipeline are about, as `causes.py` knows it."""

from collections.abc import Sequence

from schemas.facts import EventData, FollowChange, LikeChange
from schemas.internal import Backfill, FanoutPosts, FanoutRecord
from streams.telemetry.causes import Subject


def subject_of_event(data: EventData) -> Subject:
    """Return the edge that an event changes, otherwise its photo."""
    if isinstance(data, FollowChange):
        return data.follower_id, data.followee_id
    if isinstance(data, LikeChange):
        return data.user_id, data.photo_id
    return data.photo_id


def subjects_of_fanout(record: FanoutRecord) -> Sequence[Subject]:
    """Return the photos that a record of `fanout` delivers, or the follows of its backfill."""
    if isinstance(record, Backfill):
        return record.follows
    if isinstance(record, FanoutPosts):
        return [photo for photo, *_ in record.posts]
    return [record.photo_id]
