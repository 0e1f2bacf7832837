"""The HTTP application: every route, and the responses that it can return."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.contract.documents import (
    FEED_PATH,
    USER_PHOTOS_PATH,
    contract_limits,
    get_asyncapi_json,
    get_openapi_json,
    metrics_responses,
    openapi_document,
    page_responses,
    problem_responses,
    upload_request,
    upload_responses,
)
from api.contract.lag_views import LagView
from api.contract.pages import add_pages
from api.contract.views import EdgePage, HealthView, PhotoPage, PhotoView, UploadView, UserView
from api.http.body import BodyBounds
from api.http.gate import UPLOADS_PATH, Bounds, Gate, Slots
from api.http.problems import REFUSALS, add_handlers, refusal_response
from api.ops.dead_letters import DEAD_LETTERS_PATH
from api.ops.routes import EVENTS_PATH, add_ops_pages, get_ops
from api.routes.feed import get_feed
from api.routes.followers import get_followers
from api.routes.following import delete_follow, get_following, put_follow
from api.routes.health import get_healthz, get_metrics, get_readyz
from api.routes.lag import get_ops_lag
from api.routes.likes import delete_like, put_like
from api.routes.photos import delete_photo, get_photo, get_user_photos
from api.routes.users import get_user
from api.services import Services, require_right_clock
from api.uploads.problems import add_upload_handler
from api.uploads.routes import get_upload, post_complete, post_photo
from streams.fairness import FairSlots, Shares
from streams.settings import OpsSettings, PhotoUrlSettings, RequestSettings, UploadSettings
from streams.turns import Turns

# Of every route that writes.
RIGHT_CLOCK = [Depends(require_right_clock)]


def create_app(
    services: Services,
    *,
    requests: RequestSettings,
    uploads: UploadSettings,
    photo_urls: PhotoUrlSettings,
    ops: OpsSettings,
) -> FastAPI:
    """Return the application. `serve.py` runs the services that also work between requests.

    Its first `openapi()` makes the document, which takes as long as many requests.
    """
    app = FastAPI(
        title="Shutterline",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.services = services
    feed = _LeanRoute(FEED_PATH, get_feed, methods=["GET"])
    app.add_middleware(_FeedFirst, route=feed)
    app.add_middleware(
        Gate,
        usual=_usual_bounds(requests, uploads),
        uploads=_upload_bounds(uploads),
        special=_ops_bounds(ops, requests, uploads),
        admission=lambda: app.state.services.admission,
        slots=_slots(requests),
        retry_after_s_max=requests.retry_after_s_max,
    )
    add_handlers(app)
    add_upload_handler(app)
    app.router.routes.append(feed)
    _add_reads(app)
    _add_writes(app)
    _add_uploads(app, uploads)
    _add_open_routes(app)
    add_ops_pages(app)
    add_pages(app)
    limits = contract_limits(uploads, photo_urls)
    app.openapi = cache(lambda: openapi_document(app, limits))  # type: ignore[method-assign]  # FastAPI's documented way.
    return app


def _slots(requests: RequestSettings) -> Slots:
    shares = Shares(requests.user_share, requests.address_share)
    return Slots(
        in_flight=FairSlots(requests.requests_in_flight_max, shares),
        bodies_arriving=FairSlots(requests.bodies_arriving_max, shares),
        turns=Turns(user_max=requests.user_requests_at_once, address_max=requests.address_requests_at_once),
    )


def _usual_bounds(requests: RequestSettings, uploads: UploadSettings) -> Bounds:
    return Bounds(
        requests.request_deadline_ms / 1_000, _body_bounds(requests.request_body_bytes_max, uploads)
    )


def _ops_bounds(ops: OpsSettings, requests: RequestSettings, uploads: UploadSettings) -> Mapping[str, Bounds]:
    """Return the bounds of the paths below /ops that take longer than other requests."""
    usual = _usual_bounds(requests, uploads)
    longer_s = {EVENTS_PATH: ops.ops_stream_s_max, DEAD_LETTERS_PATH: ops.ops_rehearsal_s_max}
    return {path: replace(usual, deadline_s=usual.deadline_s + seconds) for path, seconds in longer_s.items()}


def _body_bounds(bytes_max: int, uploads: UploadSettings) -> BodyBounds:
    return BodyBounds(
        bytes_max=bytes_max,
        idle_s_max=uploads.upload_idle_s_max,
        bytes_per_s_min=uploads.upload_bytes_per_s_min,
        slow_s_max=uploads.upload_slow_s_max,
    )


def _upload_bounds(uploads: UploadSettings) -> Bounds:
    return Bounds(uploads.upload_body_s_max, _body_bounds(uploads.upload_bytes_max, uploads))


def _add_reads(app: FastAPI) -> None:
    _get(app, USER_PHOTOS_PATH, get_user_photos, "get_user_photos", PhotoPage, "photos", 401, 422, 429, 503)
    _get(app, "/v1/users/{user_id}", get_user, "get_user", UserView, "users", 401, 422, 429, 503)
    _get(app, "/v1/photos/{photo_id}", get_photo, "get_photo", PhotoView, "photos", 401, 404, 422, 429, 503)
    _get(app, "/v1/social/following", get_following, "get_following", EdgePage, "social", 401, 422, 429, 503)
    _get(app, "/v1/social/followers", get_followers, "get_followers", EdgePage, "social", 401, 422, 429, 503)


def _add_writes(app: FastAPI) -> None:
    photo, like = "/v1/photos/{photo_id}", "/v1/photos/{photo_id}/like"
    follow = "/v1/social/follow/{user_id}"
    _write(
        app, "DELETE", photo, delete_photo, "delete_photo", "photos", 401, 403, 404, 408, 413, 422, 429, 503
    )
    _write(app, "PUT", like, put_like, "put_like", "likes", 401, 404, 408, 413, 422, 429, 503)
    _write(app, "DELETE", like, delete_like, "delete_like", "likes", 401, 404, 408, 413, 422, 429, 503)
    _write(app, "PUT", follow, put_follow, "put_follow", "social", 401, 408, 409, 413, 422, 429, 503)
    _write(app, "POST", follow, put_follow, "post_follow", "social", 401, 408, 409, 413, 422, 429, 503)
    _write(app, "DELETE", follow, delete_follow, "delete_follow", "social", 401, 408, 413, 422, 429, 503)


def _add_uploads(app: FastAPI, uploads: UploadSettings) -> None:
    photo = f"{UPLOADS_PATH}/{{photo_id}}"
    app.add_api_route(
        UPLOADS_PATH,
        post_photo,
        methods=["POST"],
        dependencies=RIGHT_CLOCK,
        status_code=HTTPStatus.CREATED,
        response_model=None,
        tags=["uploads"],
        operation_id="post_photo",
        responses=upload_responses(400, 401, 408, 409, 410, 413, 415, 422, 429, 503),
        openapi_extra=upload_request(uploads),
    )
    _get(
        app,
        f"{photo}/upload",
        get_upload,
        "get_upload",
        UploadView,
        "uploads",
        401,
        403,
        404,
        409,
        410,
        422,
        429,
        503,
    )
    app.add_api_route(
        f"{photo}/complete",
        post_complete,
        methods=["POST"],
        dependencies=RIGHT_CLOCK,
        status_code=HTTPStatus.ACCEPTED,
        response_class=Response,
        response_model=None,
        tags=["uploads"],
        operation_id="post_complete",
        responses=problem_responses(401, 403, 404, 408, 409, 410, 413, 422, 429, 503),
    )


def _add_open_routes(app: FastAPI) -> None:
    _get(app, "/healthz", get_healthz, "get_healthz", HealthView, "operations")
    _get(app, "/readyz", get_readyz, "get_readyz", HealthView, "operations", 503)
    app.add_api_route(
        "/metrics",
        get_metrics,
        methods=["GET"],
        response_class=Response,
        response_model=None,
        tags=["operations"],
        operation_id="get_metrics",
        responses=metrics_responses(401, 403, 429, 503),
    )
    app.add_api_route(
        "/ops",
        get_ops,
        methods=["GET"],
        response_class=Response,
        response_model=None,
        tags=["operations"],
        operation_id="get_ops",
        responses=page_responses(401, 403, 422, 429, 503),
    )
    _get(app, "/ops/lag", get_ops_lag, "get_ops_lag", LagView, "operations", 401, 403, 429, 503)
    _get(app, "/openapi.json", get_openapi_json, "get_openapi_json", None, "contracts", 429, 503)
    _get(app, "/asyncapi.json", get_asyncapi_json, "get_asyncapi_json", None, "contracts", 429, 503)


class _LeanRoute(Route):
    """A Starlette route that puts itself into the scope, as FastAPI's do: the metrics' label."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return match, child_scope if match is Match.NONE else {**child_scope, "route": self}


class _FeedFirst:
    """Middleware inside the gate: serves the feed without what the framework does for other routes, which
    costs as much as the page itself. The router has the route, too, for other methods of its path."""

    def __init__(self, app: ASGIApp, route: Route) -> None:
        self._app = app
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != FEED_PATH or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            response = await get_feed(Request(scope))
        except REFUSALS as error:
            response = refusal_response(error)
        await response(scope, receive, send)


def _get(
    app: FastAPI,
    path: str,
    endpoint: Callable[..., Any],
    operation_id: str,
    view: type[BaseModel] | None,
    tag: str,
    *problems: int,
) -> None:
    app.add_api_route(
        path,
        endpoint,
        methods=["GET"],
        response_model=view,
        tags=[tag],
        operation_id=operation_id,
        responses=problem_responses(*problems),
    )


def _write(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    operation_id: str,
    tag: str,
    *problems: int,
) -> None:
    app.add_api_route(
        path,
        endpoint,
        methods=[method],
        dependencies=RIGHT_CLOCK,
        status_code=HTTPStatus.NO_CONTENT,
        response_model=None,
        tags=[tag],
        operation_id=operation_id,
        responses=problem_responses(*problems),
    )
