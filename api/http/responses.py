"""Responses other than problem documents."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response


def json_response(
    body: Any, headers: dict[str, str] | None = None, *, status: int = HTTPStatus.OK
) -> Response:
    """Return `body` as JSON that no cache may store, because it is for this caller only."""
    return json_bytes(orjson.dumps(body), headers, status=status)


def json_bytes(
    body: bytes, headers: dict[str, str] | None = None, *, status: int = HTTPStatus.OK
) -> Response:
    """Like `json_response`, for a body that is JSON already."""
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(body, status, headers=all_headers, media_type="application/json")


def done() -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT)
