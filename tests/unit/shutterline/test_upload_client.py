"""The client of uploads repeats what the API asks it to repeat."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from schemas.ids import UserId
from shutterline.client.feed import ApiRefused
from shutterline.client.upload import UploadClient
from streams.stores.tls import tls_context


class _Answer:
    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers

    async def json(self, **_: object) -> dict[str, object]:
        return {"status": self.status}


class _Session:
    """Returns the given answers in turn."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        self._answers = [_Answer(*answer) for answer in answers]

    @asynccontextmanager
    async def request(self, *_: object, **__: Any) -> AsyncIterator[_Answer]:
        yield self._answers.pop(0)


def _client(session: _Session, waits_s: list[float]) -> UploadClient:
    return UploadClient(
        cast(aiohttp.ClientSession, session),
        "http://api.test",
        lambda _: "token",
        waits_s.append,
        tls_context(None),
    )


async def test_a_request_is_repeated_while_an_earlier_try_is_under_way() -> None:
    """As with 429 and 503, Retry-After says when."""
    waits_s: list[float] = []
    later = {"Retry-After": "0"}
    session = _Session((409, later), (429, later), (503, later), (201, {}))
    body = await _client(session, waits_s).ask("POST", "/v1/photos", UserId(1))

    assert (body, waits_s) == ({"status": 201}, [0, 0, 0])


async def test_another_conflict_is_final() -> None:
    """It says nothing about a later try."""
    with pytest.raises(ApiRefused, match="409"):
        await _client(_Session((409, {})), []).ask("POST", "/v1/photos/1/complete", UserId(1))
