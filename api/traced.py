"""The span of each request, if traces are on. It has what the access log has, and no more of a person."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access_log import note_traceparent, traceparent_of
from api.http.gate import method_of, route_of
from streams.telemetry.tracing import Kind, current


def traced(app: ASGIApp) -> ASGIApp:
    """Return `app` with a span around each request, which continues the client's valid `traceparent`.

    Returns `app` itself if traces are off.
    """
    tracing = current()
    if tracing is None:
        return app

    async def in_span(scope: Scope, receive: Receive, send: Send) -> None:
        method = method_of(scope["method"])
        attributes = {"http.request.method": method}
        with tracing.span(method, Kind.SERVER, attributes, parent=traceparent_of(scope)) as span:
            note_traceparent(scope, span.traceparent)

            async def send_traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = route_of(scope)
                    status = {"http.route": route, "http.response.status_code": message["status"]}
                    span.name(f"{method} {route}", status)
                await send(message)

            await app(scope, receive, send_traced)

    return in_span
