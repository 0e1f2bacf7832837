"""The two contracts, generated: /openapi.json and /asyncapi.json."""

from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from api.contract.views import AcceptedPhotoView, BegunUploadView, ProblemView, UploadRequest
from api.http.answers import json_answer
from api.http.gate import JSON
from api.http.problems import MEDIA_TYPE
from schemas.fields import CAPTION_CHARS_MAX, ContentType
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
    408: {"description": "The body stopped arriving."},
    409: {"description": "Not as things stand: it would break a limit, or bytes are missing, or none are."},
    410: {"description": "The upload has ended: it was not completed in time, or its photo was deleted."},
    413: {"description": "The body is too large."},
    415: {"description": "Neither JSON nor an image of a type that is taken."},
    422: {"description": "The input is not as stated here."},
    429: {"description": "The caller has begun too many uploads in a minute.", "headers": _RETRY_AFTER},
    503: {"description": "Not now: a store or this process is overloaded or away.", "headers": _RETRY_AFTER},
}


def problem_responses(*statuses: int) -> dict[int | str, Json]:
    """What a route's errors look like, for FastAPI."""
    return {status: {**_PROBLEMS[status], "content": _PROBLEM} for status in statuses}


def upload_responses(*problems: int) -> dict[int | str, Json]:
    """The answers of POST /v1/photos: what differs by how the image comes, and the errors."""
    return {
        HTTPStatus.CREATED: {"description": "Begun (JSON).", "model": BegunUploadView},
        HTTPStatus.ACCEPTED: {
            "description": "In the pipeline (the image itself).",
            "model": AcceptedPhotoView,
        },
        **problem_responses(*problems),
    }


_IMAGE = {"schema": {"type": "string", "format": "binary", "maxLength": 25_000_000}}
UPLOAD_REQUEST: Json = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key is the same photo for 24 hours; with another body it is refused.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[ -~]+$"},
        },
        {
            "name": "caption",
            "in": "query",
            "description": "Where the image itself is the body.",
            "schema": {"type": "string", "maxLength": CAPTION_CHARS_MAX},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": UploadRequest.model_json_schema()},
            **dict.fromkeys(get_args(ContentType), _IMAGE),
        },
    },
}


def openapi_document(app: FastAPI) -> Json:
    """The HTTP contract; every path that needs a token says so."""
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
            operation["security"] = [{"token": []}] if path.startswith(("/v1/", "/metrics")) else []
    return document


def _feed_operation(user_photos: Json) -> Json:
    """The feed is no route of FastAPI's; its page is the same as that of an author's photos."""
    retry_after = {"Retry-After": {"description": "When rebuilding.", "schema": {"type": "integer"}}}
    answer = {**user_photos["responses"]["200"], "headers": retry_after}
    return {
        "tags": ["feed"],
        "summary": "Get Feed",
        "description": "The ready photos of those whom the caller follows, and the caller's own.",
        "operationId": "get_feed",
        "parameters": [each for each in user_photos["parameters"] if each["in"] == "query"],
        "responses": {**user_photos["responses"], "200": answer},
    }


async def get_openapi_json(request: Request) -> Response:
    """The HTTP contract."""
    return json_answer(request.app.openapi())


async def get_asyncapi_json() -> Response:
    """The contract of the topics that others write, and of their dead letters."""
    return json_answer(asyncapi_document())
