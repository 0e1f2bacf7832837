"""Photos: uploads, originals, renditions, and the cleaning of the bucket."""

from typing import Self

from pydantic import PositiveInt, model_validator

from streams.core.renditions import RenditionFormat
from streams.settings.part import Namespaced, Part
from streams.settings.requests import ShareSettings


class UploadRateSettings(Part):
    """How many uploads one user may begin."""

    uploads_per_minute: PositiveInt = 5


class UploadSettings(Namespaced, ShareSettings, UploadRateSettings):
    """Uploads over HTTP."""

    upload_bytes_max: PositiveInt = 25_000_000
    upload_part_bytes: PositiveInt = 5 * 1_048_576  # More than this goes by parts; S3 wants no smaller ones.
    upload_url_life_s: PositiveInt = 900
    upload_life_s: PositiveInt = 3_600  # Then an unfinished one is aborted.
    upload_body_s_max: PositiveInt = 120  # For an image that is the request's own body.
    upload_idle_s_max: PositiveInt = 15  # Between two pieces of it.
    upload_bodies_in_flight_max: PositiveInt = 16  # Each costs 17 MB of memory: three parts.
    upload_bodies_of_user_max: PositiveInt = 2  # Over all processes.
    # After a process died, its uploads hold their idempotency keys and their users' images so long.
    upload_lease_ms: PositiveInt = 5_000
    # Slower bodies are 408: less than so many bytes a second of waiting, after the first seconds.
    upload_bytes_per_s_min: PositiveInt = 4_096
    upload_slow_s_max: PositiveInt = 5
    idempotency_key_life_s: PositiveInt = 86_400
    renditions_queued_max: PositiveInt = 500_000  # A full task counts as three; above, uploads are refused.

    @model_validator(mode="after")
    def _lets_a_body_arrive(self) -> Self:
        # Otherwise the cleaning would remove what is still arriving.
        if self.upload_body_s_max >= self.upload_life_s:
            raise ValueError(f"{self.upload_body_s_max=} must be below {self.upload_life_s=}")
        return self


class OriginalSettings(Part):
    """Waiting for an original that has not arrived."""

    original_wait_s_max: PositiveInt = 600
    original_poll_s: PositiveInt = 2
    original_idle_poll_s: PositiveInt = 10  # Between looks at the parked photos while none is due.
    parked_batch_photos_max: PositiveInt = 256


class RenditionSettings(Namespaced, OriginalSettings):
    """Making renditions. A decoder is a child process; `streams/media/limits.py` explains its limits."""

    rendition_format: RenditionFormat = RenditionFormat.JPEG
    thumbnail_children_max: PositiveInt = 2
    full_children_max: PositiveInt = 2
    # A batch's tasks wait for each other: few, so that one slow original delays few.
    renditions_batch_records_max: PositiveInt = 8
    renditions_poll_records_max: PositiveInt = 100
    renditions_buffer_records_max: PositiveInt = 1_000
    original_pixels_max: PositiveInt = 50_000_000
    original_side_pixels_max: PositiveInt = 16_384
    decoder_memory_bytes_max: PositiveInt = 112 * 1_048_576
    large_decoder_memory_bytes_max: PositiveInt = 512 * 1_048_576
    decoder_cpu_s_max: PositiveInt = 20
    thumbnail_decoder_wall_s_max: PositiveInt = 60
    full_decoder_wall_s_max: PositiveInt = 600  # Low priority: slow is not stuck.


class CleaningSettings(Namespaced):
    """Cleaning the media bucket. Unfinished uploads are removed after `upload_life_s`."""

    cleaning_interval_s: PositiveInt = 3_600
    cleaning_objects_max: PositiveInt = 200_000  # A run; the next goes on from there.
    cleaning_photos_max: PositiveInt = 20_000  # Likewise, with four questions to S3 a photo.
    cleaning_calls_in_flight_max: PositiveInt = 8  # So that readers and workers hardly notice.
    # Long enough for somebody to see a report and stop what is wrong: a day holds one working day.
    orphan_grace_s: PositiveInt = 86_400  # Since the object was put.
    rejected_original_grace_s: PositiveInt = 86_400  # Since the object was put.
    missing_grace_s: PositiveInt = 86_400  # Since its objects were first not found.
