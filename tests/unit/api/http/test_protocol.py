"""What clients may do on a connection before there is a request: raw bytes against a real server."""

import asyncio
import logging
import resource
from collections.abc import Iterator
from time import monotonic

import pytest
from prometheus_client import REGISTRY
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.gate import ARRIVED_S
from bench.traffic.waiting import eventually
from tests.unit.api.http.wire import Client, Wire, make_gate, serving

GET = b"GET /plain HTTP/1.1\r\nHost: api.test\r\n\r\n"
POST = b"POST /plain HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /plain HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
PROBLEM = "application/problem+json"
MIB = 1_048_576


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The product runs on uvloop, whose transports differ from asyncio's in details."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _refused(reason: str) -> float:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("shutterline_http_connections_refused_total", labels) or 0.0


async def _flood(client: Client, begin: bytes, piece: bytes, count: int) -> None:
    """Write `piece` again and again, until the server has refused the connection."""
    await client.send(begin)
    for _ in range(count):
        if client.reader.at_eof() or client.writer.is_closing():
            break
        await client.send(piece)


async def _still_serves(wire: Wire) -> None:
    assert (await (await wire.sends(GET)).reply()).status == 200


async def test_a_header_of_64_mib_is_431_while_others_are_served() -> None:
    """The server stops reading it as a header after 32 kB. The old server took all of it, which held up
    everybody for seconds."""
    async with serving() as wire:
        before = _refused("head_bytes")
        client = await wire.connect()
        flood = asyncio.create_task(_flood(client, b"GET / HTTP/1.1\r\nX: ", b"a" * MIB, 64))
        await _still_serves(wire)
        reply = await client.last_reply()
        await flood

    assert (reply.status, reply.headers["content-type"]) == (431, PROBLEM)
    assert reply.json["detail"] == "The request line and the headers may have at most 32768 bytes."
    assert (reply.headers["connection"], _refused("head_bytes")) == ("close", before + 1)
    assert wire.app.seen == ["/plain"]


async def test_a_request_brings_the_time_of_its_arrival() -> None:
    """Of the second one on a connection, that is the end of the first: its client made it wait."""
    arrived: list[float] = []

    def around(app: ASGIApp) -> ASGIApp:
        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            arrived.append(scope[ARRIVED_S])
            await app(scope, receive, send)

        return noted

    before_s = monotonic()
    async with serving(around=around) as wire:
        client = await wire.sends(GET + GET)
        for _ in range(2):
            await client.reply()
    assert before_s <= arrived[0] <= arrived[1] <= monotonic()


@pytest.mark.parametrize(("spare", "status"), [(0, 200), (-1, 431)])
@pytest.mark.parametrize("names", [1, 10])
async def test_the_bound_of_a_head_is_exact(names: int, spare: int, status: int) -> None:
    """A head of exactly the bound is served, one byte more is 431: one large header or many small ones."""
    lines = b"".join(b"x%d: %s\r\n" % (number, b"a" * 50) for number in range(names))
    head = b"GET /plain HTTP/1.1\r\n" + lines + b"\r\n"
    async with serving(request_head_bytes_max=len(head) + spare) as wire:
        reply = await (await wire.sends(head)).reply()

    assert reply.status == status


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\na: ", b"GET / HTTP/1.1\r\n", b"\r\n"])
async def test_a_head_that_never_ends_is_431_at_the_bound(begin: bytes) -> None:
    """The bound does not wait for the end of a line: long URLs, long values, many lines, empty lines."""
    piece = {b"GET / HTTP/1.1\r\n": b"a:b\r\n" * 200, b"\r\n": b"\r\n" * 500}.get(begin, b"a" * 1_000)
    async with serving(request_head_bytes_max=4_000) as wire:
        client = await wire.connect()
        await _flood(client, begin, piece, 100)
        reply = await client.last_reply()

    assert (reply.status, wire.app.seen) == (431, [])


async def test_a_head_that_drips_is_408_at_its_deadline() -> None:
    """Each byte arrives in time, but the deadline is that of all the headers."""
    async with serving(request_head_s_max=0.2) as wire:
        client = await wire.connect()

        async def drip() -> None:
            for number in range(10_000):
                await client.send(GET[number : number + 1] if number < 10 else b"a")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        reply = await client.last_reply()
        dripping.cancel()
        await _still_serves(wire)

    assert (reply.status, reply.headers["content-type"]) == (408, PROBLEM)
    assert reply.json["detail"] == "The headers did not arrive within 0.2 s."


async def test_the_next_head_on_a_connection_has_the_same_deadline() -> None:
    """Bytes of the next request end the idle time and begin the deadline."""
    async with serving(request_head_s_max=0.2) as wire:
        client = await wire.sends(GET)
        first = await client.reply()
        await client.send(GET[:-1])
        second = await client.last_reply()

    assert (first.status, second.status) == (200, 408)


async def test_the_deadline_of_the_headers_does_not_bound_a_body() -> None:
    """A body has bounds of its own, in `gate.py` and `body.py`."""
    async with serving(request_head_s_max=0.05) as wire:
        client = await wire.sends(POST[:-5])
        for byte in b"hello":
            await asyncio.sleep(0.03)
            await client.send(bytes([byte]))
        reply = await client.reply()

    assert (reply.status, reply.json["body_bytes"]) == (200, 5)


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_unused_connections_are_closed_and_disturb_nobody() -> None:
    """A connection without a request is closed at the deadline of a request's headers."""
    async with serving(request_head_s_max=0.5) as wire:
        before = _refused("unused")
        clients = [await wire.connect() for _ in range(1_000)]
        await _still_serves(wire)
        rests = [await client.rest() for client in clients]
        await eventually("the server to forget them", lambda: len(wire.connections) <= 1)

    assert set(rests) == {b""}
    assert _refused("unused") - before == 1_000


async def test_an_idle_connection_is_closed() -> None:
    """Between two requests, and with stray line ends instead of a request."""
    async with serving(connection_idle_s_max=0.2) as wire:
        idle, stray = await wire.sends(GET), await wire.sends(GET)
        await idle.reply()
        await stray.reply()
        for _ in range(5):
            await stray.send(b"\r\n")
            await asyncio.sleep(0.02)

        assert (await idle.rest(), await stray.rest()) == (b"", b"")


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """Its response fills the buffers, and the idle time counts from the response's end."""
    async with serving(connection_idle_s_max=0.2) as wire:
        client = await wire.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # The stream does it, too.
        await client.send(b"GET /plain?size=20000000 HTTP/1.1\r\n\r\n")
        await eventually("the request", lambda: wire.app.seen)
        await eventually("the connection to be closed", lambda: not wire.connections)


async def _sends_two_and_reads_nothing(wire: Wire) -> None:
    """Wait until the second response cannot be sent, because the first fills the buffers."""
    client = await wire.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # The stream does it, too.
    await client.send(b"GET /plain?size=20000000 HTTP/1.1\r\n\r\n" * 2)
    await eventually("both requests", lambda: len(wire.app.seen) == 2)


async def test_a_client_that_pipelines_and_does_not_read_is_cut_off() -> None:
    """The server would wait without end to send the second response, and hold it meanwhile."""
    async with serving(connection_idle_s_max=0.2) as wire:
        await _sends_two_and_reads_nothing(wire)
        await eventually("the connection to be closed", lambda: not wire.connections)
        await eventually("its requests to end", lambda: not wire.tasks)


async def test_a_response_that_nobody_reads_ends_at_the_deadline_of_its_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The connection is closed, and no log line is written: a client could cause many a second."""
    async with serving(around=lambda app: make_gate(app, deadline_s=0.3)) as wire:
        await _sends_two_and_reads_nothing(wire)
        await eventually("the connection to be closed", lambda: not wire.connections)
        await eventually("its requests to end", lambda: not wire.tasks)
        await _still_serves(wire)

    assert caplog.record_tuples == []


async def test_a_client_that_has_read_its_response_is_not_cut_off_later() -> None:
    """The time in which a client must read ends when it has."""
    async with serving(connection_idle_s_max=1) as wire:
        client = await wire.sends(b"GET /plain?size=20000000 HTTP/1.1\r\n\r\n")
        first = await client.reply()
        await client.send(GET.replace(b"plain", b"held"))
        asyncio.get_running_loop().call_later(1.2, wire.app.go.set)

        assert (first.status, (await client.reply()).status) == (200, 200)


async def test_a_request_may_be_split_at_every_byte() -> None:
    """The same response, however the request was split into two or into single bytes."""
    async with serving() as wire:
        client = await wire.connect()
        replies = []
        for at in range(1, len(POST)):
            for piece in (POST[:at], POST[at:]):
                await client.send(piece)
                await asyncio.sleep(0.001)
            replies.append(await client.reply())
        for number in range(len(POST)):
            await client.send(POST[number : number + 1])
            await asyncio.sleep(0)
        replies.append(await client.reply())

    assert {(reply.status, reply.json["body_bytes"]) for reply in replies} == {(200, 5)}


async def test_pipelined_requests_get_their_responses_in_order() -> None:
    """Many requests in one write, some with bodies."""
    requests = [b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(500)]
    async with serving() as wire:
        client = await wire.sends(b"".join(requests) + POST)
        paths = [(await client.reply()).json["path"] for _ in range(501)]

    assert paths == [*(f"/{number}" for number in range(500)), "/plain"]


async def test_many_pipelined_requests_wait_unparsed() -> None:
    """A queued request costs a hundred times its own bytes. Each still gets its response, also the last
    one, whose body is larger than what is read at once."""
    body = b"b" * 200_000
    last = b"POST /last HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    requests = [b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(10_000)]
    async with serving(pipelined_requests_max=10, request_head_bytes_max=1_000) as wire:
        client = await wire.sends(b"GET /held HTTP/1.1\r\n\r\n")
        sending = asyncio.create_task(client.send(b"".join(requests) + last))
        await eventually("the queue to fill", lambda: wire.queued() >= 10)
        queued = wire.queued()
        wire.app.go.set()
        replies = [await client.reply() for _ in range(10_002)]
        await sending

    # The bound is checked between pieces, and a piece of 1,000 bytes has 55 requests at most.
    assert queued < 10 + 55
    paths = [reply.json["path"] for reply in replies]
    assert paths == ["/held", *(f"/{number}" for number in range(10_000)), "/last"]
    assert replies[-1].json["body_bytes"] == len(body)


async def test_a_refusal_comes_after_the_responses_to_earlier_requests() -> None:
    """Otherwise a client would take it for the response to its first request."""
    async with serving() as wire:
        client = await wire.sends(b"GET /held HTTP/1.1\r\n\r\n" + GET + b"nonsense\r\n\r\n")
        await eventually("the first request", lambda: wire.app.seen == ["/held"])
        wire.app.go.set()
        paths = [(await client.reply()).json["path"] for _ in range(2)]
        refusal = await client.last_reply()

    assert (paths, refusal.status) == (["/held", "/plain"], 400)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://api.test:port/secret HTTP/1.1\r\n\r\n",
        b"GET http://api.test HTTP/1.1\r\n\r\n",
        b"CONNECT example.test:443 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
async def test_malformed_http_is_a_problem_document(request_bytes: bytes) -> None:
    """As every other error of the API; then the connection is closed."""
    async with serving() as wire:
        reply = await (await wire.sends(request_bytes)).last_reply()

    assert (reply.status, reply.headers["content-type"]) == (400, PROBLEM)
    detail = reply.json["detail"]
    assert detail.startswith("This is not a valid HTTP/1.1 request: ")
    assert len(detail) < 150
    assert "secret" not in detail
    assert "NoneType" not in detail


async def test_malformed_requests_write_few_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    """The metric counts them all."""
    caplog.set_level(logging.INFO)
    async with serving() as wire:
        before = _refused("malformed")
        for _ in range(200):
            assert (await (await wire.sends(b"nonsense\r\n\r\n")).reply()).status == 400

    assert _refused("malformed") - before == 200
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 1


async def test_a_malformed_body_ends_its_own_request() -> None:
    """Its route sees that the client is gone, and the requests before it get their responses."""
    async with serving() as wire:
        alone = await wire.sends(CHUNKED)
        await eventually("the request", lambda: wire.app.seen == ["/plain"])
        await alone.send(b"zz\r\n")
        refusal = await alone.last_reply()
        behind = await wire.sends(b"GET /held HTTP/1.1\r\n\r\n" + CHUNKED + b"zz\r\n")
        await eventually("the request in front of it", lambda: "/held" in wire.app.seen)
        wire.app.go.set()
        first, second = await behind.reply(), await behind.last_reply()

    assert (refusal.status, wire.app.disconnected) == (400, 1)
    assert (first.json["path"], second.status) == ("/held", 400)


async def test_trailers_do_not_become_headers() -> None:
    """They arrive after the request was routed and its caller was checked."""
    async with serving() as wire:
        client = await wire.sends(CHUNKED + b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
        reply = await client.reply()

    assert (reply.status, reply.json["body_bytes"]) == (200, 5)
    assert reply.json["headers"] == ["host", "transfer-encoding"]


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"0\r\nx: ", b"a" * 1_000),
        (b"0\r\n", b"a: b\r\n" * 200),
        (b"5;x=", b"a" * 1_000),
        (b"", b"1\r\na\r\n" * 200),
    ],
    ids=["long trailer", "many trailers", "chunk extension", "chunks of one byte"],
)
async def test_a_body_may_not_be_mostly_framing(begin: bytes, piece: bytes) -> None:
    """Trailers, chunk extensions and tiny chunks cost as much as headers, so they have the same bound."""
    async with serving(request_head_bytes_max=4_000) as wire:
        client = await wire.sends(CHUNKED)
        await eventually("the request", lambda: wire.app.seen)
        await _flood(client, begin, piece, 100)
        reply = await client.last_reply()

    assert (reply.status, wire.app.disconnected) == (431, 1)


async def test_small_chunks_of_a_usual_size_are_no_framing() -> None:
    """Some clients write lines of some tens of bytes as chunks."""
    async with serving(request_head_bytes_max=4_000) as wire:
        client = await wire.sends(CHUNKED + b"10\r\n0123456789abcdef\r\n" * 5_000 + b"0\r\n\r\n")
        reply = await client.reply()

    assert (reply.status, reply.json["body_bytes"]) == (200, 80_000)


async def test_a_body_that_nobody_read_may_not_arrive_for_ever() -> None:
    """The connection is closed at its idle time after the response, also while the body arrives."""
    async with serving(connection_idle_s_max=0.2) as wire:
        client = await wire.sends(b"POST /unread HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
        assert (await client.reply()).status == 200
        while wire.connections:
            await client.send(b"a")
            await asyncio.sleep(0.02)


async def test_an_address_has_a_bounded_number_of_connections() -> None:
    """One more is 429 with Retry-After; when one of the others has ended there is room again."""
    async with serving(connections_per_address_max=2, connections_uncounted="") as wire:
        first, second = await wire.sends(GET), await wire.sends(GET)
        statuses = [(await client.reply()).status for client in (first, second)]
        refused = await (await wire.connect()).last_reply()
        first.writer.close()
        await eventually("the first to be closed", lambda: len(wire.connections) == 1)
        again = await (await wire.sends(GET)).reply()

    assert (statuses, again.status) == ([200, 200], 200)
    assert (refused.status, refused.headers["content-type"]) == (429, PROBLEM)
    assert refused.headers["retry-after"] == "1"


@pytest.mark.parametrize("pause", [False, True], ids=["in one write", "body after the headers"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 39", GET), (b"Transfer-Encoding: chunked", b"27\r\n" + GET + b"\r\n0\r\n\r\n")],
)
async def test_the_body_of_a_request_with_upgrade_is_no_request(
    framing: bytes, body: bytes, *, pause: bool
) -> None:
    """Some clients offer HTTP/2 on their first request, also with a body. It was lost, and then read as the
    next request, so one client behind a proxy could send requests in the name of another."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    head = b"POST /plain HTTP/1.1\r\n" + framing + b"\r\n" + upgrade
    assert len(GET) == 39
    async with serving() as wire:
        client = await wire.sends(GET[:-2] + upgrade + head)
        without = await client.reply()
        if pause:
            await eventually("the second request", lambda: len(wire.app.seen) == 2)
        await client.send(body + POST)
        replies = [await client.reply() for _ in range(2)]

    assert (without.json["method"], without.json["body_bytes"]) == ("GET", 0)
    assert [(reply.status, reply.json["body_bytes"]) for reply in replies] == [(200, 39), (200, 5)]
    assert len(wire.app.seen) == 3


async def test_many_requests_with_upgrade_in_one_write() -> None:
    """Each stops the parser."""
    upgrade = b"GET /plain HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with serving() as wire:
        client = await wire.sends(upgrade * 2_000)
        statuses = [(await client.reply()).status for _ in range(2_000)]

    assert set(statuses) == {200}
