"""The two contracts, generated: /openapi.json and /asyncapi.json."""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from string import Template
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from api.contract.views import AcceptedPhotoView, BegunUploadView, ProblemView, UploadRequest
from api.http.gate import JSON
from api.http.problems import MEDIA_TYPE
from api.http.responses import json_response
from schemas.fields import CAPTION_CHARS_MAX, CAPTION_PATTERN, ImageType
from streams.settings import PhotoUrlSettings, UploadSettings
from streams.telemetry.exposition import OPENMETRICS
from topics.asyncapi import asyncapi_document

Json = dict[str, Any]

FEED_PATH = "/v1/feed"
USER_PHOTOS_PATH = "/v1/users/{user_id}/photos"

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
_RETRY_AFTER: Json = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}, "required": True}
}
_PROBLEMS: dict[int, Json] = {
    400: {"description": "The connection ended before the body did."},
    401: {
        "description": "No token, or one that is not valid.",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}},
    },
    403: {"description": "The caller may not do this."},
    404: {"description": "There is nothing there that the caller can see."},
    408: {"description": "The body did not arrive in time."},
    409: {
        "description": "Not as things stand: it would break a limit, or bytes are missing, or none are, or "
        "another request with this Idempotency-Key is under way."
    },
    410: {"description": "The upload has ended: it was not completed in time, or its photo was deleted."},
    413: {"description": "The body is too large."},
    415: {"description": "Neither JSON nor an image of a type that is taken."},
    422: {"description": "The input is not as stated here."},
    429: {
        "description": "Too many requests of the caller or of its address, or too many uploads.",
        "headers": _RETRY_AFTER,
    },
    503: {"description": "Not now: a store or this process is overloaded or away.", "headers": _RETRY_AFTER},
}


def problem_responses(*statuses: int) -> dict[int | str, Json]:
    """Return the documentation of a route's error responses, as FastAPI takes it."""
    return {status: {**_PROBLEMS[status], "content": _PROBLEM} for status in statuses}


def metrics_responses(*problems: int) -> dict[int | str, Json]:
    """The responses of GET /metrics: Prometheus's text format, OpenMetrics, and the errors."""
    text = {media_type: {"schema": {"type": "string"}} for media_type in ("text/plain", OPENMETRICS)}
    return {HTTPStatus.OK: {"content": text}, **problem_responses(*problems)}


def page_responses(*problems: int) -> dict[int | str, Json]:
    """The responses of GET /ops: a page in HTML, and the errors."""
    page = {"text/html": {"schema": {"type": "string"}}}
    return {HTTPStatus.OK: {"content": page}, **problem_responses(*problems)}


def upload_responses(*problems: int) -> dict[int | str, Json]:
    """The responses of POST /v1/photos: one for each way that the image arrives, and the errors."""
    return {
        HTTPStatus.CREATED: {
            "description": "Begun (JSON).",
            "model": BegunUploadView,
            "links": _photo_links("get_upload", "post_complete", "delete_photo"),
        },
        HTTPStatus.ACCEPTED: {
            "description": "In the pipeline (the image itself).",
            "model": AcceptedPhotoView,
            "links": _photo_links("get_photo", "put_like", "delete_photo"),
        },
        **problem_responses(*problems),
    }


def _photo_links(*operation_ids: str) -> Json:
    """What the caller can do next with the photo of the response."""
    parameters = {"photo_id": "$response.body#/photo_id"}
    return {name: {"operationId": name, "parameters": parameters} for name in operation_ids}


def upload_request(uploads: UploadSettings) -> Json:
    """The request of POST /v1/photos, for FastAPI: JSON about an image, or the image itself."""
    bytes_max = uploads.upload_bytes_max
    image = {"schema": {"type": "string", "format": "binary", "minLength": 1, "maxLength": bytes_max}}
    asked = UploadRequest.model_json_schema()
    asked["properties"]["bytes"]["maximum"] = bytes_max
    return {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same key is the same photo for $key_life_h hours; "
                "with another body it is refused.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[ -~]+$"},
            },
            {
                "name": "caption",
                "in": "query",
                "description": "Of the image that is the body; beside a JSON body, which has its own, "
                "it is checked and has no effect.",
                "schema": {"type": "string", "maxLength": CAPTION_CHARS_MAX, "pattern": CAPTION_PATTERN},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": asked},
                **dict.fromkeys(get_args(ImageType), image),
            },
        },
    }


def contract_limits(uploads: UploadSettings, photo_urls: PhotoUrlSettings) -> dict[str, str]:
    """The values of the settings that the contract's descriptions quote, by `$name`."""
    return {
        "part_mib": f"{uploads.upload_part_bytes / 1_048_576:g}",
        "key_life_h": f"{uploads.idempotency_key_life_s / 3_600:g}",
        "url_min": f"{photo_urls.media_url_life_s_min / 60:g}",
        "url_max": f"{photo_urls.media_url_life_s_max / 60:g}",
    }


def openapi_document(app: FastAPI, limits: Mapping[str, str]) -> Json:
    """The HTTP contract; every path that needs a token says so. For `limits` see `contract_limits`."""
    document = get_openapi(
        title="Shutterline",
        version="1.0.0",
        description="Photo feeds. Ids are decimal strings. Every error is a problem document (RFC 9457).",
        routes=app.routes,
    )
    paths: dict[str, Json] = document["paths"]
    paths[FEED_PATH] = {"get": _feed_operation(paths[USER_PHOTOS_PATH]["get"])}
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["ProblemView"] = ProblemView.model_json_schema()
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }
    for path, operations in paths.items():
        for operation in operations.values():
            operation["security"] = [{"token": []}] if path.startswith(("/v1/", "/metrics", "/ops")) else []
    described: Json = _described(document, limits)
    return described


def _described(node: Any, limits: Mapping[str, str]) -> Any:
    """Return the document with the limits instead of each `$name` in its descriptions."""
    if isinstance(node, list):
        return [_described(child, limits) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        name: Template(child).substitute(limits)
        if name == "description" and isinstance(child, str)
        else _described(child, limits)
        for name, child in node.items()
    }


def _feed_operation(user_photos: Json) -> Json:
    """Return the feed's operation: FastAPI does not document it, because it is not a FastAPI route.

    A page of the feed has the shape of a page of an author's photos.
    """
    retry_after = {"Retry-After": {"description": "When rebuilding.", "schema": {"type": "integer"}}}
    page = {**user_photos["responses"]["200"], "headers": retry_after}
    return {
        "tags": ["feed"],
        "summary": "Get Feed",
        "description": "The ready photos of those whom the caller follows, and the caller's own.",
        "operationId": "get_feed",
        "parameters": [parameter for parameter in user_photos["parameters"] if parameter["in"] == "query"],
        "responses": {**user_photos["responses"], "200": page},
    }


async def get_openapi_json(request: Request) -> Response:
    """The HTTP contract."""
    return json_response(request.app.openapi())


async def get_asyncapi_json() -> Response:
    """The contract of the topics that others write, and of their dead letters."""
    return json_response(_asyncapi())


@cache
def _asyncapi() -> Json:
    """Made once a process, because it takes longer than most requests."""
    return asyncapi_document()
