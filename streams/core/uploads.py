"""An upload over HTTP: a photo whose bytes are on their way."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.ids import PhotoId, UserId


class UploadState(StrEnum):
    """Uploading until the bytes are all there; completed until the photo is in the pipeline."""

    UPLOADING = "uploading"
    COMPLETED = "completed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A photo whose bytes are under way, or have arrived; until it is completed nobody sees it.

    `size_bytes` is as stated; None for an image that is the request's own body.
    `parts_id` is None unless it comes by parts.
    """

    photo_id: PhotoId
    author_id: UserId
    object_key: str
    content_type: str
    size_bytes: int | None
    caption: str
    created_at: datetime
    parts_id: str | None = None
    state: UploadState = UploadState.UPLOADING


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """What an idempotency key stands for. `fingerprint`: 32 bytes of what was asked."""

    photo_id: PhotoId
    fingerprint: bytes
