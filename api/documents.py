"""The two contracts, generated: /openapi.json and /asyncapi.json."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from api.answers import json_answer
from api.problems import MEDIA_TYPE
from api.views import ProblemView
from topics.asyncapi import asyncapi_document

Json = dict[str, Any]

FEED_PATH = "/v1/feed"
USER_PHOTOS_PATH = "/v1/users/{user_id}/photos"

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
_RETRY_AFTER: Json = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}, "required": True}
}
_PROBLEMS: dict[int, Json] = {
    401: {
        "description": "No token, or one that is not valid.",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}},
    },
    403: {"description": "The caller may not do this."},
    404: {"description": "There is nothing there that the caller can see."},
    409: {"description": "It would break a limit."},
    413: {"description": "The body is too large."},
    422: {"description": "The input is not as stated here."},
    503: {"description": "Not now: a store or this process is overloaded or away.", "headers": _RETRY_AFTER},
}


def problem_responses(*statuses: int) -> dict[int | str, Json]:
    """What a route's errors look like, for FastAPI."""
    return {status: {**_PROBLEMS[status], "content": _PROBLEM} for status in statuses}


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
