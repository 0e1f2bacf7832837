"""Cross-origin requests (CORS): pages of the configured origins may call the API from a browser."""

import re
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from api.http.problems import Problem, problem_response

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key")
EXPOSED_HEADERS = ("Retry-After",)
# Chromium caches a preflight for at most two hours, so a longer time would change nothing.
PREFLIGHT_LIFE_S = 7_200

# As browsers write it: in lower case, without a path.
_ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?")


def with_cors(app: ASGIApp, origins: str) -> ASGIApp:
    """Return `app` with CORS for `origins`, which have commas between; without any, `app` itself.

    It belongs outside of everything else, because a page can read the status and Retry-After of an error
    only if that response, too, names its origin. Tokens are in a header, so no origin needs cookies.

    Raises:
        ValueError: One of the origins is none.
    """
    allowed = [origin.strip() for origin in origins.split(",") if origin.strip()]
    for origin in allowed:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"cors_origins has {origin!r}, but must have origins such as https://app.example"
            )
    return _Cors(app, allowed) if allowed else app


class _Cors(CORSMiddleware):
    """Starlette's, with problem documents for preflights that are refused and no body for the others."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_LIFE_S,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        if response.status_code == HTTPStatus.OK:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        detail = bytes(response.body).decode()  # For example "Disallowed CORS origin".
        return problem_response(Problem(HTTPStatus.BAD_REQUEST, f"{detail}.", headers))
