"""The JSON that tells a client how to send the bytes of an upload to the media bucket."""

from typing import Any

from schemas.times import rfc3339, utc_datetime
from streams.ports.media import SignedRequest
from streams.uploads.sending import SendingPlan

Json = dict[str, Any]


def upload_json(plan: SendingPlan) -> Json:
    """Return the contract's `upload`: one PUT, or one for each part."""
    expires_at = rfc3339(utc_datetime(plan.expires_s * 1_000_000))
    if plan.put is not None:
        return {"method": "PUT", **_request_json(plan.put), "expires_at": expires_at}
    parts = [
        {"number": part.number, **_request_json(part.signed), "arrived": part.has_arrived}
        for part in plan.parts
    ]
    return {"part_bytes": plan.part_bytes, "parts": parts, "expires_at": expires_at}


def _request_json(signed: SignedRequest) -> Json:
    return {"url": signed.url, "headers": dict(signed.headers)}
