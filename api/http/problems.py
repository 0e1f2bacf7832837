"""Problem documents (RFC 9457): the response to every error of the API."""

import logging
from http import HTTPStatus

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from streams.errors import StoreUnavailable
from streams.limited_log import LimitedLog
from streams.stores.cache.database_reads import TooManyReads

log = LimitedLog(logging.getLogger(__name__))

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1


class Problem(Exception):
    """An error response: raise it anywhere below a route."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def invalid(error: ValueError) -> Problem:
    """Return 422; the detail is the rule that the input broke."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def not_found(what: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"There is no {what} that you can see.")


def unavailable(detail: str, retry_after_s: int = RETRY_AFTER_S) -> Problem:
    """Return 503 for a temporary failure; the client should retry after `retry_after_s` seconds."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(retry_after_s)})


def too_many(detail: str, retry_after_s: int = RETRY_AFTER_S) -> Problem:
    """Return 429, because this caller asks for too much; it should retry after `retry_after_s` seconds."""
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(retry_after_s)})


def problem_response(problem: Problem) -> Response:
    # The type about:blank means that the title only repeats the status.
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    return Response(orjson.dumps(body), problem.status, problem.headers, MEDIA_TYPE)


# What a route raises to refuse a request.
REFUSALS = (Problem, StoreUnavailable, TooManyReads)


def refusal_response(error: Problem | StoreUnavailable | TooManyReads) -> Response:
    """Return the response to a request that a route refused."""
    if isinstance(error, Problem):
        return problem_response(error)
    # During an outage every request fails.
    operation = f"{error.store} {error.operation}" if isinstance(error, StoreUnavailable) else "reads"
    log.warning(operation, "503: %s", str(error) or type(error).__name__)
    return problem_response(unavailable("A store did not answer in time; try again."))


def add_handlers(app: FastAPI) -> None:
    """Turn every exception of a route into a problem document."""

    async def on_refusal(_: Request, error: Exception) -> Response:
        assert isinstance(error, REFUSALS)
        return refusal_response(error)

    async def on_bug(_: Request, error: Exception) -> Response:
        return problem_response(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault; it is logged."))

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        return problem_response(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: {first['msg']}"))

    for refusal in REFUSALS:
        app.add_exception_handler(refusal, on_refusal)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, on_bug)


async def _on_http(request: Request, error: Exception) -> Response:
    """Handle the router's 404 and 405.

    For 405 the router names only the methods of a path's first route, so `Allow` is made here.
    """
    assert isinstance(error, HTTPException)
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return problem_response(Problem(error.status_code, _detail(error), dict(error.headers or {})))
    allow = {"Allow": ", ".join(sorted(_allowed(request)))}
    if request.method == "OPTIONS":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=allow)
    return problem_response(Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"Allowed here: {allow['Allow']}.", allow))


def _detail(error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "There is nothing at this path; /openapi.json lists what there is."
    return str(error.detail)


def _allowed(request: Request) -> set[str]:
    allowed = {"OPTIONS"}
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            allowed |= route.methods or set()
    # HEAD works wherever GET does, see gate.py.
    return allowed | {"HEAD"} if "GET" in allowed else allowed
