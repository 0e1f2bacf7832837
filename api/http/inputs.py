"""Parse ids in paths, limits and cursors. Invalid input is 422; it is never clamped or guessed."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import WithJsonSchema
from starlette.datastructures import QueryParams
from starlette.requests import Request

from api.http.cursors import CURSOR_CHARS_MAX, CURSOR_PATTERN, CursorKind, decode_cursor
from api.http.problems import invalid
from schemas.ids import ID_MAX, PhotoId, UserId, parse_id
from schemas.quoting import quoted

FEED_LIMIT_DEFAULT, FEED_LIMIT_MAX = 20, 100
EDGES_LIMIT_DEFAULT, EDGES_LIMIT_MAX = 100, 1_000
QUERIES_CACHED_MAX, QUERY_CACHED_BYTES_MAX = 1_024, 64

_LIMIT = re.compile("[1-9][0-9]{0,3}")
_ID_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": "^[1-9][0-9]{0,18}$",
    "description": f"A decimal id, 1 to {ID_MAX}.",
}
# The raw text: this module parses it, FastAPI only documents it.
IdText = Annotated[str, Path(), WithJsonSchema(_ID_SCHEMA)]


def photo_id_of(photo_id: IdText) -> PhotoId:
    """Parse the photo id in the path."""
    return PhotoId(_id(photo_id, "photo_id"))


def user_id_of(user_id: IdText) -> UserId:
    """Parse the user id in the path."""
    return UserId(_id(user_id, "user_id"))


def _id(text: str, name: str) -> int:
    try:
        return parse_id(text, name)
    except ValueError as error:
        raise invalid(error) from None


FeedLimitText = Annotated[
    str | None,
    Query(description=f"{FEED_LIMIT_DEFAULT} where it is left out."),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": FEED_LIMIT_MAX}),
]
EdgesLimitText = Annotated[
    str | None,
    Query(description=f"{EDGES_LIMIT_DEFAULT} where it is left out."),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": EDGES_LIMIT_MAX}),
]
CursorText = Annotated[
    str | None,
    Query(description="A `next_cursor` of this list."),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": CURSOR_CHARS_MAX, "pattern": CURSOR_PATTERN}
    ),
]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The requested page. `position` is the cursor's position; None is the first page."""

    limit: int
    position: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class PageQueries:
    """Reads `limit` and `cursor` for one kind of list."""

    kind: CursorKind
    limit_default: int
    limit_max: int

    def read(self, request: Request) -> PageQuery:
        """Parse the requested page.

        Raises:
            Problem: 422 if a parameter occurs twice or breaks a rule of the contract.
        """
        query = request.scope["query_string"]
        # Most requests have one of few short queries, and parsing one costs more than finding it here.
        parse = _page_query if len(query) <= QUERY_CACHED_BYTES_MAX else _page_query.__wrapped__
        try:
            return parse(self, query)
        except ValueError as error:
            raise invalid(error) from None

    def limit(self, text: str | None) -> int:
        """Parse `limit`. Raises ValueError if it breaks a rule."""
        if text is None:
            return self.limit_default
        if not _LIMIT.fullmatch(text) or int(text) > self.limit_max:
            raise ValueError(f"limit is {quoted(text)}, but must be an integer from 1 to {self.limit_max}")
        return int(text)

    def position(self, text: str | None) -> tuple[int, ...] | None:
        """Parse `cursor`. Raises ValueError if it is no cursor of this kind of list."""
        return None if text is None else decode_cursor(self.kind, text)


@lru_cache(QUERIES_CACHED_MAX)
def _page_query(queries: PageQueries, query: bytes) -> PageQuery:
    params = QueryParams(query)
    return PageQuery(queries.limit(_once(params, "limit")), queries.position(_once(params, "cursor")))


def _once(params: QueryParams, name: str) -> str | None:
    values = params.getlist(name)
    if len(values) > 1:
        raise ValueError(f"{name} stands {len(values)} times, but must stand once")
    return values[0] if values else None


FEED_QUERIES = PageQueries(CursorKind.FEED, FEED_LIMIT_DEFAULT, FEED_LIMIT_MAX)
USER_PHOTOS_QUERIES = PageQueries(CursorKind.USER_PHOTOS, FEED_LIMIT_DEFAULT, FEED_LIMIT_MAX)
FOLLOWING_QUERIES = PageQueries(CursorKind.FOLLOWING, EDGES_LIMIT_DEFAULT, EDGES_LIMIT_MAX)
FOLLOWERS_QUERIES = PageQueries(CursorKind.FOLLOWERS, EDGES_LIMIT_DEFAULT, EDGES_LIMIT_MAX)


def user_photos_query(request: Request, limit: FeedLimitText = None, cursor: CursorText = None) -> PageQuery:
    return USER_PHOTOS_QUERIES.read(request)


def following_query(request: Request, limit: EdgesLimitText = None, cursor: CursorText = None) -> PageQuery:
    return FOLLOWING_QUERIES.read(request)


def followers_query(request: Request, limit: EdgesLimitText = None, cursor: CursorText = None) -> PageQuery:
    return FOLLOWERS_QUERIES.read(request)
