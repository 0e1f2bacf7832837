"""Errors of uploads. The API turns each of them into a problem document."""

from schemas.ids import PhotoId
from streams.core.uploads import KeyClaim, Upload


class UploadError(Exception):
    """Base of the errors of this module."""


class QueueTooLong(UploadError):
    """Too many renditions are waiting to be made."""

    def __init__(self, queued: int, queued_max: int) -> None:
        super().__init__(f"{queued} renditions are queued, at most {queued_max} may be")
        self.queued = queued
        self.queued_max = queued_max


class TooManyUploads(UploadError):
    """The user has begun as many uploads in this minute as one user may."""

    def __init__(self, per_minute: int, wait_ms: int) -> None:
        super().__init__(f"the user has begun {per_minute} uploads in a minute")
        self.per_minute = per_minute
        self.wait_ms = wait_ms


class EmptyOriginal(UploadError):
    """The body that should have been the image has no bytes."""


class KeyInUse(UploadError):
    """Another request with the same idempotency key is under way."""


class KeyTaken(UploadError):
    """A racing request claimed the idempotency key first, so both requests get its photo.

    `claim` is the claim of the racing request; `fingerprint` is the fingerprint of this request.
    """

    def __init__(self, claim: KeyClaim, fingerprint: bytes) -> None:
        super().__init__(f"the key is claimed for photo {claim.photo_id}")
        self.claim = claim
        self.fingerprint = fingerprint


class AboutPhoto(UploadError):
    """Base of the errors that name one photo."""

    def __init__(self, photo: PhotoId) -> None:
        super().__init__(f"photo {photo}")
        self.photo = photo


class KeyOfAnotherRequest(AboutPhoto):
    """The idempotency key is claimed for `photo`, by a request with another body."""


class UploadEnded(AboutPhoto):
    """The upload was not completed in time, or its photo was deleted."""


class NothingLikeThat(AboutPhoto):
    """There is no such upload or photo that the caller may see."""


class NotYours(AboutPhoto):
    """The photo belongs to another author. The caller may see it, so saying so reveals nothing."""


class AlreadyCompleted(AboutPhoto):
    """The upload is completed, so there are no bytes left to send."""


class TakenBack(AboutPhoto):
    """The photo was deleted, or its upload withdrawn, before its event was published."""


class NotAllThere(AboutPhoto):
    """The object does not have the bytes that the client stated."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.photo_id)
        self.size_bytes = upload.size_bytes
