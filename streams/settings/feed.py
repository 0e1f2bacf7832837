"""Feeds: cached values, timelines, deliveries, counted edges."""

from pathlib import Path
from typing import Self

from pydantic import Field, PositiveInt, model_validator

from streams.core.ring import BLOCK
from streams.settings.part import Part
from streams.settings.requests import ShareSettings


class PhotoUrlSettings(Part):
    """Photo URLs: CloudFront's canned policy, signed with RSA."""

    media_url: str = "http://127.0.0.1:8080"
    media_key_id: str = "local"
    # PEM; the text before the key may name it (`Key-Id: K2`) in place of `media_key_id`, and the keys
    # before it (`Previous: K1`). The file is read again and again, so keys change without a restart.
    media_private_key: Path = Path(".local/media-key.pem")
    media_keys_refresh_ms: PositiveInt = 2_000
    media_url_life_s_min: PositiveInt = 1_800
    media_url_life_s_max: PositiveInt = 3_600


class CacheSettings(ShareSettings):
    """How long cached values live, and how many database reads may fill them at once."""

    pull_list_ids_max: PositiveInt = 100
    pull_list_copy_s: PositiveInt = 60
    photo_copy_s: PositiveInt = 86_400
    following_copy_s: PositiveInt = 86_400
    count_copy_s: PositiveInt = 30
    database_reads_in_flight_max: PositiveInt = 32


class FeedSettings(CacheSettings):
    """How a page of a feed is made."""

    # Deferred posts that an API process holds, 470 bytes each. With more of them no page is complete.
    deferred_posts_max: PositiveInt = 1_000_000
    feed_window_ids: PositiveInt = 500
    recent_follow_s: PositiveInt = 60
    pulled_authors_refresh_ms: PositiveInt = 1_000


class DeliverySettings(Part):
    """The hybrid of push and pull."""

    pull_followers_min: PositiveInt = 10_000
    push_again_followers_max: PositiveInt = 8_999
    celebrity_push_followers_max: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _leaves_a_gap(self) -> Self:
        # Without the gap between the two, an author at the threshold would flap.
        if not self.push_again_followers_max < self.pull_followers_min:
            raise ValueError(
                f"push_again_followers_max={self.push_again_followers_max} must be below "
                f"pull_followers_min={self.pull_followers_min}"
            )
        return self


class OverloadSettings(Part):
    """When posts are deferred because there is too much to do, and how fast large ones are pushed."""

    breaker_open_deliveries: PositiveInt = 5_000_000  # All posts are deferred above this backlog.
    breaker_close_deliveries: PositiveInt = 100_000
    shed_lag_records: PositiveInt = 100_000  # Posts of small authors are deferred above so many records.
    shed_end_lag_records: PositiveInt = 50_000
    shed_followers_min: PositiveInt = 10
    push_s_max: PositiveInt = 5  # A push that would take longer is deferred.
    post_deliveries_per_s: PositiveInt = 50_000
    bulk_deliveries_per_s: PositiveInt = 100_000
    # The bulk lane's rate is halved each second in which a call of Redis takes longer,
    bulk_redis_ms_max: PositiveInt = 50
    # or in which records of most partitions of the normal lane have waited for longer.
    bulk_oldest_s_max: PositiveInt = 3
    deferred_after_applied_s: PositiveInt = 60  # Then readers no longer pull the post.

    @model_validator(mode="after")
    def _leaves_gaps(self) -> Self:
        for off, on in (
            ("breaker_close_deliveries", "breaker_open_deliveries"),
            ("shed_end_lag_records", "shed_lag_records"),
        ):
            if getattr(self, off) > getattr(self, on):
                raise ValueError(f"{off}={getattr(self, off)} must not exceed {on}={getattr(self, on)}")
        return self


class TimelineSettings(Part):
    """Stored timelines and their rebuilds."""

    timeline_ids: PositiveInt = 500
    timeline_slots: PositiveInt = 600
    timeline_ttl_s: PositiveInt = 72 * 3600
    timeline_renew_s: PositiveInt = 3600
    fresh_s_max: PositiveInt = 60
    append_owners_max: int = Field(default=500, ge=1, le=1_000)
    insert_ids_max: PositiveInt = 200  # 3 ms of Redis; 5 ms for photos that are days late.
    follower_page_copy_s: PositiveInt = 3_600  # Who posts again within an hour finds it.
    rebuilds_per_s_max: PositiveInt = 1_000
    rebuilds_in_flight_max: PositiveInt = 16
    rebuild_ttl_ms: PositiveInt = 30_000
    # Of a call of one server of a cluster; what takes longer is done later, and nothing else waits for it.
    # Calls of an idle server take up to 5 ms, and no page is complete that lacks a post for 5 s.
    timelines_wait_ms_max: PositiveInt = 500
    warm_timelines_in_flight_max: PositiveInt = 64
    lost_timelines_per_s_max: PositiveInt = 200  # Of the budget; readers have the rest.
    lost_timelines_in_flight_max: PositiveInt = 8

    @model_validator(mode="after")
    def _fits_the_ring(self) -> Self:
        if self.timeline_slots < 2 * BLOCK or self.timeline_slots % BLOCK:
            raise ValueError(f"{self.timeline_slots=} must be a multiple of {BLOCK}, at least {2 * BLOCK}")
        if self.timeline_ids > self.timeline_slots:
            raise ValueError(f"timeline_ids={self.timeline_ids} must fit {self.timeline_slots=}")
        return self


class FanoutSettings(TimelineSettings):
    """The lanes of `fanout`."""

    bulk_calls_in_flight_max: PositiveInt = 2
    # While posts are being checked or delivered in the same process, bulk rests this many times as
    # long as each of its calls took: at 3 it has a quarter of the time.
    bulk_rest_ratio: int = Field(default=3, ge=0)
    bulk_rest_ms_max: PositiveInt = 500
    normal_calls_in_flight_max: PositiveInt = 8
    repair_calls_in_flight_max: PositiveInt = 2  # Of servers of a cluster that catch up.
    normal_poll_records_max: PositiveInt = 100
    normal_buffer_records_max: PositiveInt = 500
    bulk_poll_records_max: PositiveInt = 50
    bulk_buffer_records_max: PositiveInt = 1_000
    fanout_batch_records_max: PositiveInt = 64


class EdgeSettings(Part):
    """Counted sets and the batch loop that writes them."""

    bucket_members_max: PositiveInt = 1_000
    backfill_follows_max: PositiveInt = 1_000
    # The generation of the topic `edges`; raise it whenever the topic is created again, so that
    # its offsets, which order the counts, go on rising.
    edges_generation: PositiveInt = 1
    edges_batch_records_max: PositiveInt = 400  # With up to 50 edges each.
    edges_linger_ms: PositiveInt = 200
    edges_rest_ms_max: PositiveInt = 1_000  # After a batch that took longer, as much longer.
    removed_edge_ttl_s: PositiveInt = 28 * 86_400
    removal_mark_ttl_s: PositiveInt = 600  # Of a removal over HTTP of an edge that has no row.


class AuditSettings(DeliverySettings, TimelineSettings, EdgeSettings):
    """The audit, which compares what is stored twice and repairs it."""

    audit_interval_s: PositiveInt = 600  # In this time so many users are looked at, evenly.
    audit_users: PositiveInt = 10_000
    audit_edges_a_user: PositiveInt = 100  # Of each kind and direction, another sample each time.
    audit_buckets_a_set: PositiveInt = 256  # That is all of up to 256,000 followers.
    audit_wait_s_max: PositiveInt = 60  # Until the logs are applied; with a longer backlog nothing is judged.
