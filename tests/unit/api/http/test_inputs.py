"""Invalid input is 422 with a problem document; it is never clamped, and never a 500."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.cursors import CursorKind, decode_cursor, encode_cursor
from schemas.ids import ID_MAX
from tests.worlds.api import World, make_world

BAD_IDS = [
    "0",
    "-1",
    "01",
    "+1",
    " 1",
    "1 ",
    "1_000",
    "1.0",
    "1e3",
    "0x1",
    "abc",
    "\u0661",
    "\uff11",
    "1\x00",
    "1\n",
    "null",
    "true",
    str(ID_MAX + 1),
    "9" * 5_000,
    "\U0001f600",
]
BAD_LIMITS = ["0", "-1", "", " ", "1.5", "01", "+1", "1_0", "ten", "true", "\u0661", "1e1", "9" * 5_000]
BAD_CURSORS = [
    "",
    "x",
    "====",
    "AWY",
    "not a cursor",
    "\u0661",
    "A" * 14,
    "A" * 5_000,
    encode_cursor(CursorKind.FEED, 7) + "=",
    encode_cursor(CursorKind.FEED, 7) + "\n",
    encode_cursor(CursorKind.FEED, 7)[:-1] + "x",
]
WITH_ID = [
    ("GET", "/v1/photos/{}"),
    ("DELETE", "/v1/photos/{}"),
    ("PUT", "/v1/photos/{}/like"),
    ("DELETE", "/v1/photos/{}/like"),
    ("GET", "/v1/users/{}"),
    ("GET", "/v1/users/{}/photos"),
    ("PUT", "/v1/social/follow/{}"),
    ("POST", "/v1/social/follow/{}"),
    ("DELETE", "/v1/social/follow/{}"),
]
LISTS = {
    "/v1/feed": (100, CursorKind.FEED),
    "/v1/users/1/photos": (100, CursorKind.USER_PHOTOS),
    "/v1/social/following": (1_000, CursorKind.FOLLOWING),
    "/v1/social/followers": (1_000, CursorKind.FOLLOWERS),
}


async def _status_and_text(world: World, method: str, url: str) -> tuple[int, str]:
    async with world.client(1) as client:
        response = await client.request(method, url)
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            problem = response.json()
            assert set(problem) == {"type", "title", "status", "detail"}
            assert problem["status"] == response.status_code
        return response.status_code, response.text


@pytest.mark.parametrize(("method", "template"), WITH_ID)
async def test_an_id_is_a_canonical_decimal(method: str, template: str) -> None:
    """A path accepts only ids that `parse_id` accepts. `int` would accept more."""
    world = await make_world()
    for bad in BAD_IDS:
        status, text = await _status_and_text(world, method, template.format(quote(bad, safe="")))

        assert status == 422, bad
        assert "must be an integer from 1 to" in text
    assert world.publisher.published == []


@pytest.mark.parametrize(("path", "limit_max"), [(path, most) for path, (most, _) in LISTS.items()])
async def test_a_limit_is_a_number_in_its_range(path: str, limit_max: int) -> None:
    """The bounds themselves are accepted; a value beyond them is rejected, not clamped."""
    world = await make_world()
    for good in ("1", str(limit_max)):
        assert (await _status_and_text(world, "GET", f"{path}?limit={good}"))[0] == 200
    for bad in [*BAD_LIMITS, str(limit_max + 1)]:
        status, text = await _status_and_text(world, "GET", f"{path}?limit={quote(bad)}")

        assert status == 422, bad
        assert f"from 1 to {limit_max}" in text


@pytest.mark.parametrize(("path", "kind"), [(path, kind) for path, (_, kind) in LISTS.items()])
async def test_only_cursors_of_the_same_list_are_accepted(path: str, kind: CursorKind) -> None:
    """A cursor of another list or any other text is 422."""
    world = await make_world()
    others = [encode_cursor(other, *[7] * other.value[1]) for other in CursorKind if other is not kind]
    for bad in [*BAD_CURSORS, *others]:
        if kind is CursorKind.FEED and bad == encode_cursor(kind, 7):
            continue
        assert (await _status_and_text(world, "GET", f"{path}?cursor={quote(bad)}"))[0] == 422, bad


async def test_a_followers_cursor_must_name_an_existing_bucket() -> None:
    """A well-formed cursor whose level or bucket does not exist is 422."""
    world = await make_world()
    for position in ((5, 0, 0), (0, 1, 0), (1, 16, 0), (4, 65_536, 0)):
        cursor = encode_cursor(CursorKind.FOLLOWERS, *position)

        assert (await _status_and_text(world, "GET", f"/v1/social/followers?cursor={cursor}"))[0] == 422


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", ["limit", "cursor"])
async def test_a_repeated_parameter_is_rejected(path: str, name: str) -> None:
    """We do not guess which of the two was meant."""
    world = await make_world()

    status, text = await _status_and_text(world, "GET", f"{path}?{name}=1&{name}=1")

    assert status == 422
    assert "2 times" in text


@pytest.mark.parametrize("path", LISTS)
async def test_unknown_parameters_are_ignored(path: str) -> None:
    """A newer client may send parameters that an older API does not know."""
    world = await make_world()

    assert (await _status_and_text(world, "GET", f"{path}?Limit=x&other=1&other=2&limit[]=0"))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/feed/",
        "/v1/photos/",
        "/v1/photos/1/",
        "/v1/photos/1/upload/",
        "/v1/photos/1/complete/",
        "/v1/users//photos",
        "/ops/lag/",
        "/redoc",
        "/%ff%fe",
    ],
)
async def test_an_unknown_path_is_404(path: str) -> None:
    """The response is a problem document. The API does not redirect to a similar path."""
    world = await make_world()

    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        assert (await _status_and_text(world, method, path))[0] == 404


async def test_another_method_is_405_and_names_the_allowed_ones() -> None:
    """`Allow` has the methods of all routes at the path. OPTIONS returns the same header without an
    error."""
    world = await make_world()
    allowed = {
        "/v1/feed": "GET, HEAD, OPTIONS",
        "/v1/photos/1": "DELETE, GET, HEAD, OPTIONS",
        "/v1/photos/1/like": "DELETE, OPTIONS, PUT",
        "/v1/social/follow/2": "DELETE, OPTIONS, POST, PUT",
        "/healthz": "GET, HEAD, OPTIONS",
    }
    async with world.client(1) as client:
        for path, methods in allowed.items():
            for method in ("PATCH", "TRACE", "FOO"):
                response = await client.request(method, path)
                assert (response.status_code, response.headers["allow"]) == (405, methods)
                assert response.headers["content-type"] == "application/problem+json"
            response = await client.options(path)
            assert (response.status_code, response.headers["allow"], response.content) == (204, methods, b"")


async def test_head_is_get_without_the_body() -> None:
    """HEAD has the status and headers of GET on every path, errors included."""
    world = await make_world()
    async with world.client(1) as client:
        for path in ("/v1/feed", "/v1/users/1", "/v1/photos/1", "/healthz", "/nothing", "/v1/feed?limit=0"):
            head, get = await client.head(path), await client.get(path)

            assert (head.status_code, head.content) == (get.status_code, b"")
            assert head.headers["content-length"] == get.headers["content-length"]


async def test_an_unexpected_body_is_ignored_up_to_a_limit() -> None:
    """A route without a body does not read it, even if it is malformed JSON. A body over the limit
    is 413."""
    world = await make_world(request_body_bytes_max=100)
    async with world.client(1) as client:
        small = await client.put(
            "/v1/social/follow/2", content=b"{not json", headers={"Content-Type": "application/json"}
        )
        large = await client.put("/v1/social/follow/2", content=b"x" * 101)

    assert small.status_code == 204
    assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")


@given(st.sampled_from(CursorKind), st.lists(st.integers(0, ID_MAX), min_size=3, max_size=3))
def test_a_cursor_decodes_to_its_position(kind: CursorKind, numbers: list[int]) -> None:
    """The text of a cursor needs no quoting in a query."""
    position = tuple(numbers[: kind.value[1]])

    text = encode_cursor(kind, *position)

    assert decode_cursor(kind, text) == position
    assert quote(text, safe="") == text


@given(st.sampled_from(CursorKind), st.text(max_size=40))
def test_no_other_text_is_a_cursor(kind: CursorKind, text: str) -> None:
    """Decoding other text raises ValueError. If it does not raise, encoding the position gives the
    same text."""
    try:
        position = decode_cursor(kind, text)
    except ValueError:
        return
    assert encode_cursor(kind, *position) == text
