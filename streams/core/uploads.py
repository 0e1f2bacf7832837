"""An upload over HTTP: a photo whose bytes are still being sent."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.ids import PhotoId, UserId


class UploadState(StrEnum):
    """The state in an upload's row; `streams/uploads/lifecycle.py` shows the transitions."""

    UPLOADING = "uploading"
    COMPLETED = "completed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class RequestedUpload:
    """The photo that a client wants to upload.

    If the client sends the bytes to the bucket by signed requests, `size_bytes` is the size that
    the client states. If the image is the body of the HTTP request, `size_bytes` is None.
    """

    content_type: str
    caption: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The row of an upload. The photo is not visible before the upload is completed.

    `size_bytes` is as in `RequestedUpload`. `parts_id` names the multipart upload, if
    there is one.
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

    @property
    def is_signed(self) -> bool:
        """Whether the client sends the bytes to the bucket itself, by signed requests."""
        return self.size_bytes is not None

    @property
    def mode(self) -> str:
        """How the bytes arrive, as a label value of the metrics."""
        return "signed" if self.is_signed else "body"


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The photo of an idempotency key. `fingerprint` is the first request's SHA-256 (32 bytes)."""

    photo_id: PhotoId
    fingerprint: bytes
