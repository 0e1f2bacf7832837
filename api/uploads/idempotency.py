"""Idempotency keys: the same key is the same photo."""

from http import HTTPStatus

from api.http.metrics import UPLOADS_REFUSED
from api.http.problems import Problem
from api.services import UploadService
from streams.core.uploads import KeyClaim, Upload


class KeyTaken(Exception):
    """Another request with the key was first; its photo is the answer to this one, too."""

    def __init__(self, stands: KeyClaim, asked: bytes) -> None:
        super().__init__(f"the key stands for photo {stands.photo_id}")
        self.stands = stands
        self.asked = asked  # The fingerprint of this request.


async def claim(service: UploadService, upload: Upload, key: str | None, fingerprint: bytes) -> None:
    """Let the key, if there is one, stand for this upload, whose row is written: others will look for it.

    Raises:
        KeyTaken: It stands for another.
    """
    if key is None:
        return
    own = KeyClaim(upload.photo_id, fingerprint)
    life_s = service.settings.idempotency_key_life_s
    stands = await service.stores.uploads.claim_key(upload.author_id, key, own, life_s=life_s)
    if stands.photo_id != upload.photo_id:
        raise KeyTaken(stands, fingerprint)


def check_fingerprint(stands: KeyClaim, fingerprint: bytes) -> None:
    """Refuse with 422 a key that stands for something else than is asked for."""
    if stands.fingerprint != fingerprint:
        UPLOADS_REFUSED.labels("key").inc()
        detail = (
            f"This Idempotency-Key stands for photo {stands.photo_id}, which was asked for with another "
            "body; a repeat must be the same, and another photo needs another key."
        )
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
