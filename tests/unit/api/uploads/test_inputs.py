"""Invalid input to the upload routes gets a problem document that names the value and the rule, and
no upload begins."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from tests.worlds.api import World
from tests.worlds.uploading import JPEG, ME, NewWorld, in_pieces, objects, rows, world_maker

JSON = "application/json"
JSON_BODY = b'{"content_type": "image/jpeg", "bytes": 5}'
# Both forms of a body.
BODIES = [(JPEG, b"12345"), (JSON, JSON_BODY)]


@pytest.fixture(scope="module")
def new_world() -> NewWorld:
    return world_maker()


async def post(
    world: World, content: bytes | AsyncIterator[bytes], *headers: tuple[str, str], query: str = ""
) -> httpx.Response:
    async with world.client(ME) as client:
        return await client.post(f"/v1/photos{query}", content=content, headers=list(headers))


async def assert_refused(world: World, answer: httpx.Response, status: int, *words: str) -> None:
    """Check for a problem document with these words. No upload has begun, and none was counted
    towards the limit."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for word in words:
        assert word in answer.json()["detail"]
    assert (await rows(world), await objects(world)) == ([], [])
    for _ in range(5):
        assert (await post(world, b"1", ("Content-Type", JPEG))).status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"bytes": True}, 422, ["bytes is True"]),
        ({"bytes": 1.0}, 422, ["bytes is 1.0"]),
        ({"bytes": "1e3"}, 422, ["bytes is '1e3'"]),
        ({"bytes": "5"}, 422, ["bytes is '5'"]),
        ({"bytes": None}, 422, ["bytes is None"]),
        ({"bytes": []}, 422, ["bytes is []"]),
        ({"bytes": 0}, 422, ["bytes is 0", "greater than or equal to 1"]),
        ({"bytes": -5}, 422, ["bytes is -5"]),
        ({"bytes": 46}, 413, ["bytes is 46", "45"]),
        ({"bytes": 2**63}, 413, ["45"]),
        ({"bytes": 2**64}, 422, ["bytes is"]),
        ({"content_type": "image/gif"}, 415, ["image/gif", "image/png"]),
        ({"content_type": "jpeg"}, 415, ["jpeg"]),
        ({"content_type": ""}, 415, ["''"]),
        ({"content_type": None}, 422, ["content_type is None"]),
        ({"content_type": 5}, 422, ["content_type is 5"]),
        ({"caption": "x" * 2_201}, 422, ["caption is", "2200"]),
        ({"caption": 5}, 422, ["caption is 5"]),
        ({"caption": ["x"]}, 422, ["caption is"]),
    ],
)
async def test_a_field_that_breaks_its_rule_is_refused(
    new_world: NewWorld, body: dict[str, Any], status: int, words: list[str]
) -> None:
    """A value is never clamped or guessed. The detail names the field, the value and the rule."""
    world = await new_world()
    content = (
        orjson.dumps({"content_type": JPEG, "bytes": 5, **body})
        if body.get("bytes") != 2**64
        else (b'{"content_type": "image/jpeg", "bytes": 18446744073709551616}')
    )

    await assert_refused(world, await post(world, content, ("Content-Type", JSON)), status, *words)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"{}",
        b'{"content_type": "image/jpeg"}',
        b'{"bytes": 5}',
        b"\xff\xfe",
        b'{"content_type": "image/jpeg", "bytes": NaN}',
        b'{"content_type": "image/jpeg", "bytes": 5, "caption": "\\ud800"}',
        b"[" * 2_000,
    ],
)
async def test_a_body_that_is_no_such_json_is_refused(new_world: NewWorld, content: bytes) -> None:
    """Malformed JSON, other JSON and missing fields are 422."""
    world = await new_world()

    await assert_refused(world, await post(world, content, ("Content-Type", JSON)), 422)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_what_json_may_say_otherwise_is_taken(new_world: NewWorld, content_type: str) -> None:
    """Accepted are media type parameters, upper case, unknown fields, a repeated key, and null or
    unusual captions."""
    world = await new_world()
    bodies = [
        b'{"content_type": "image/jpeg", "bytes": 99, "bytes": 5, "more": {"a": [1]}}',
        b'{"content_type": "image/png", "bytes": 5, "caption": null}',
        orjson.dumps({"content_type": "image/webp", "bytes": 5, "caption": "\n \u202e \U0001f4f7" * 300}),
        orjson.dumps({"content_type": "image/webp", "bytes": 5, "caption": "\U0001f4f7" * 2_200}),
    ]
    statuses = [(await post(world, body, ("Content-Type", content_type))).status_code for body in bodies]

    assert statuses == [201] * 4


@pytest.mark.parametrize(
    "content_type",
    [None, "", "image/gif", "image/*", "text/plain", "multipart/form-data; boundary=x", "image/jpegx"],
)
async def test_other_types_are_refused(new_world: NewWorld, content_type: str | None) -> None:
    """The response is 415 and names the accepted types, whatever the size of the body."""
    world = await new_world()
    headers = [] if content_type is None else [("Content-Type", content_type)]
    answers = [
        await post(world, b"12345", *headers),
        await post(world, b"x" * 45, *headers),
        await post(world, in_pieces(b"x" * 45, b"x" * 45), *headers),
    ]

    for answer in answers:
        assert answer.status_code == 415
    await assert_refused(world, answers[0], 415, "image/jpeg", "image/png", "image/webp", "application/json")


@pytest.mark.parametrize(
    "key", ["", "x" * 129, "schlüssel", "tab\tkey", "\x7f", "nul\x00".replace("\x00", "\x01")]
)
async def test_a_key_that_is_not_as_the_contract_says_is_refused(new_world: NewWorld, key: str) -> None:
    """An idempotency key has 1 to 128 printable ASCII characters."""
    world = await new_world()
    for content_type, content in ((JSON, b'{"content_type": "image/jpeg", "bytes": 5}'), (JPEG, b"12345")):
        async with world.client(ME) as client:
            answer = await client.post(
                "/v1/photos",
                content=content,
                headers=[(b"Content-Type", content_type.encode()), (b"Idempotency-Key", key.encode())],
            )

        assert (answer.status_code, "1 to 128" in answer.json()["detail"]) == (422, True)
    await assert_refused(world, answer, 422, "Idempotency-Key")


@pytest.mark.parametrize("key", ["x", "x" * 128, "a b", "~!{}\"'\\"])
async def test_keys_at_their_limits_are_taken(new_world: NewWorld, key: str) -> None:
    """A repeated request with such a key returns the same photo."""
    world = await new_world()
    answers = [await post(world, b"1", ("Content-Type", JPEG), ("Idempotency-Key", key)) for _ in range(2)]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["photo_id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", JPEG), ("Content-Type", JSON)],
        [("Content-Type", JPEG), ("Content-Type", JPEG)],
        [("Content-Type", JPEG), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")],
    ],
)
async def test_headers_that_stand_twice_are_refused(
    new_world: NewWorld, headers: list[tuple[str, str]]
) -> None:
    """The API does not guess which of the two values is meant."""
    world = await new_world()

    await assert_refused(world, await post(world, b"12345", *headers), 422, "2 times")


@pytest.mark.parametrize("stated", ["IMAGE/JPEG", "image/jpeg; charset=binary"])
async def test_a_media_type_is_read_alike_in_json_and_header(new_world: NewWorld, stated: str) -> None:
    """Case and parameters are ignored, as in events (RFC 9110, section 8.3.1)."""
    world = await new_world()
    body = orjson.dumps({"content_type": stated, "bytes": 5})

    in_json = await post(world, body, ("Content-Type", "application/json"))
    in_header = await post(world, b"12345", ("Content-Type", stated))

    assert [in_json.status_code, in_header.status_code] == [201, 202]


@pytest.mark.parametrize("encoding", ["gzip", "identity", ""])
async def test_an_encoded_body_is_refused(new_world: NewWorld, encoding: str) -> None:
    """The API does not decode bodies. If it ignored the header, it would store encoded bytes that
    are not an image."""
    world = await new_world()
    headers = [("Content-Type", JPEG), ("Content-Encoding", encoding)]

    await assert_refused(world, await post(world, b"12345", *headers), 415, "Content-Encoding", encoding)


@pytest.mark.parametrize(("content_type", "body"), BODIES)
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?caption=a&caption=b", ["caption stands 2 times"]),
        ("?caption=" + "x" * 2_201, ["2201", "2200"]),
        ("?caption=%ff%fe", ["UTF-8"]),
        ("?caption=%ed%a0%80", ["UTF-8"]),
        ("?caption=a%1b[31m", ["caption is", "control characters"]),
        ("?caption=%00", ["caption is", "control characters"]),
    ],
)
async def test_an_odd_caption_in_the_query_is_refused(
    new_world: NewWorld, query: str, words: list[str], content_type: str, body: bytes
) -> None:
    """The caption is too long, given twice, not UTF-8, or has control characters. It is refused beside
    a JSON body, too, although it would have no effect there."""
    world = await new_world()

    answer = await post(world, body, ("Content-Type", content_type), query=query)

    await assert_refused(world, answer, 422, *words)


@pytest.mark.parametrize(
    "query",
    ["?caption=", "?caption", "?other=1", "?", "?caption=%0A%09", "?caption=" + "%F0%9F%93%B7" * 2_200],
)
async def test_what_a_query_may_say_otherwise_is_taken(new_world: NewWorld, query: str) -> None:
    """Accepted are a missing caption, an empty or unusual one, and one of the greatest length."""
    world = await new_world()

    assert (await post(world, b"12345", ("Content-Type", JPEG), query=query)).status_code == 202


async def test_a_caption_in_the_query_has_no_effect_beside_a_json_body(new_world: NewWorld) -> None:
    """JSON has its own caption. So a repeat with another caption in the query is the same request."""
    world = await new_world()
    headers = [("Content-Type", JSON), ("Idempotency-Key", "k")]
    answers = [await post(world, JSON_BODY, *headers, query=query) for query in ("", "?caption=a")]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["photo_id"] == answers[1].json()["photo_id"]


async def test_bodies_that_are_empty_or_too_large_are_refused(new_world: NewWorld) -> None:
    """An empty body is 422, a body over the limit 413, whether its length is stated or not. A body
    of exactly the limit is accepted."""
    world = await new_world()
    jpeg = ("Content-Type", JPEG)
    answers = [
        await post(world, b"", jpeg),
        await post(world, in_pieces(), jpeg),
        await post(world, in_pieces(b"", b""), jpeg),
        await post(world, b"x" * 46, jpeg),
        await post(world, in_pieces(*[b"x"] * 46), jpeg),
        await post(world, in_pieces(b"x" * 45, b"x" * 1_000), jpeg),
    ]

    assert [answer.status_code for answer in answers] == [422] * 3 + [413] * 3
    assert all("45 bytes" in answer.json()["detail"] for answer in answers[3:])
    await assert_refused(world, answers[-1], 413)
    largest = await post(await new_world(), in_pieces(b"x" * 44, b"x"), jpeg)
    assert largest.status_code == 202


async def test_json_keeps_its_own_limit_however_it_comes(new_world: NewWorld) -> None:
    """More than 64 KiB of JSON is 413, whether its length is stated or not."""
    world = await new_world()
    long = b'{"caption": "' + b"x" * 65_536
    json = ("Content-Type", JSON)
    answers = [
        await post(world, long, json),
        await post(world, in_pieces(long[:40_000], long[40_000:], b"x" * 65_536), json),
    ]

    assert [answer.status_code for answer in answers] == [413, 413]
    await assert_refused(world, answers[1], 413, "65536")


@pytest.mark.parametrize("photo", ["0", "-1", str(2**63), "1e3", "x", "%00", "01", "1.0", "%201"])
async def test_ids_that_are_none_are_refused(new_world: NewWorld, photo: str) -> None:
    """An invalid photo id is 422 on every upload route that has one."""
    world = await new_world()
    async with world.client(ME) as client:
        statuses = [
            (await client.request(method, f"/v1/photos/{photo}{rest}")).status_code
            for method, rest in (("GET", "/upload"), ("POST", "/complete"), ("DELETE", ""))
        ]

    assert statuses == [422] * 3


async def test_other_methods_are_told_which_there_are(new_world: NewWorld) -> None:
    """Another method is 405 with `Allow`. OPTIONS returns the same header. Without a token, a
    request is 401."""
    world = await new_world()
    paths = {
        "/v1/photos": "OPTIONS, POST",
        "/v1/photos/5/upload": "GET, HEAD, OPTIONS",
        "/v1/photos/5/complete": "OPTIONS, POST",
    }
    async with world.client(ME) as client, world.client() as nobody:
        for path, allowed in paths.items():
            wrong = await client.put(path)
            options = await client.options(path)
            method = allowed.split(", ")[-1] if "POST" in allowed else "GET"
            unknown = await nobody.request(method, path, headers={"Content-Type": JPEG})

            assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)
            assert (options.status_code, options.headers["allow"]) == (204, allowed)
            assert unknown.status_code == 401


async def test_a_body_on_routes_that_read_none_is_nothing(new_world: NewWorld) -> None:
    """The body is not read, and the response is the same as without a body."""
    world = await new_world()
    async with world.client(ME) as client:
        answers = [
            await client.post("/v1/photos/5/complete", content=b"anything"),
            await client.post("/v1/photos/5/complete", content=in_pieces(b"any", b"thing")),
        ]

    assert [answer.status_code for answer in answers] == [404, 404]
