"""Fingerprints of requests, to check that a repeat of an idempotency key is the same request."""

from hashlib import sha256

import orjson

from streams import metrics
from streams.core.uploads import KeyClaim, RequestedUpload
from streams.uploads.errors import KeyOfAnotherRequest


def fingerprint_of_signed(request: RequestedUpload) -> bytes:
    """Return the SHA-256 of a request whose bytes go to the bucket by signed requests."""
    return sha256(orjson.dumps(["json", request.content_type, request.size_bytes, request.caption])).digest()


def fingerprint_of_body(request: RequestedUpload, body_sha256: str) -> bytes:
    """Return the SHA-256 of a request whose body is the image; `body_sha256` is hexadecimal."""
    return sha256(orjson.dumps(["body", request.content_type, request.caption, body_sha256])).digest()


def check_fingerprint(claim: KeyClaim, fingerprint: bytes) -> None:
    """Check that the request with this fingerprint repeats the one that claimed the key.

    Raises:
        KeyOfAnotherRequest: The key was claimed by a different request.
    """
    if claim.fingerprint != fingerprint:
        metrics.UPLOADS_REFUSED.labels("key").inc()
        raise KeyOfAnotherRequest(claim.photo_id)
