"""`shutterline revoke`: what it stores, for how long, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from typer.testing import CliRunner, Result

from shutterline import app as command_line
from shutterline.commands import revoke
from shutterline.failures import CommandFailed
from streams.ports.groups import Stores
from streams.ports.revocations import Revocation, RevocationKind, Revocations
from streams.settings import Settings
from streams.stores.memory.revocations import MemoryRevocations
from streams.stores.memory.stores import memory_stores

DAY_S = 86_400
NOW_MS = 1_800_000_000_000


class Clock:
    ms = NOW_MS


def revocation(kind: RevocationKind, subject: str = "7") -> Revocation:
    return Revocation(
        kind=kind, subject=subject, issued_before_ms=None, revoked_ms=NOW_MS, revoked_by="ada", reason=""
    )


@pytest.mark.parametrize("kind", [RevocationKind.USER, RevocationKind.TOKEN])
async def test_a_revocation_lives_longer_than_the_tokens_that_it_revokes(kind: RevocationKind) -> None:
    """A token that is valid now has an exp of at most a day and the leeway away, and is accepted for
    the leeway after it."""
    clock = Clock()
    store = MemoryRevocations(lambda: clock.ms)
    await revoke.store_revocation(store, Settings(), revocation(kind))

    clock.ms += (DAY_S + 60) * 1_000 - 1
    assert len(await store.all()) == 1
    clock.ms += 1
    assert await store.all() == []


async def test_a_key_is_revoked_permanently() -> None:
    """A stolen key can sign tokens at any time."""
    clock = Clock()
    store = MemoryRevocations(lambda: clock.ms)
    await revoke.store_revocation(store, Settings(), revocation(RevocationKind.KEY))
    clock.ms += 1_000 * DAY_S * 1_000

    assert len(await store.all()) == 1


async def test_there_is_a_limit() -> None:
    """Every process has all revocations in memory. The error says what to do instead."""
    store = MemoryRevocations(lambda: NOW_MS)
    for subject in ("1", "2"):
        await revoke.store_revocation(
            store, Settings(revocations_max=2), revocation(RevocationKind.TOKEN, subject)
        )

    with pytest.raises(CommandFailed, match="Revoke the signing key"):
        await revoke.store_revocation(
            store, Settings(revocations_max=2), revocation(RevocationKind.TOKEN, "3")
        )


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Revocations:
    """The store that the command connects to."""
    store = MemoryRevocations(lambda: NOW_MS)
    stores: Stores = replace(memory_stores(clock_ms=lambda: NOW_MS), revocations=store)

    @asynccontextmanager
    async def connect(*_: object, **__: object) -> AsyncIterator[Stores]:
        yield stores

    async def require(**_: object) -> None:
        pass

    monkeypatch.setattr(revoke, "connect", connect)
    monkeypatch.setattr(revoke, "require", require)
    monkeypatch.setattr(revoke, "time_ns", lambda: NOW_MS * 1_000_000)
    return store


def run(*arguments: str) -> Result:
    return CliRunner().invoke(
        command_line.app, ["revoke", *arguments], env={"COLUMNS": "200", "TERM": "dumb"}
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "subject", "before_ms"),
    [
        (["key", "2026-01"], RevocationKind.KEY, "2026-01", None),
        (["key", "--", "-dash"], RevocationKind.KEY, "-dash", None),
        (["token", "[red]5f"], RevocationKind.TOKEN, "[red]5f", None),
        (["user", "7"], RevocationKind.USER, "7", NOW_MS),
        (["user", "7", "--before", "2026-01-31T12:00:00Z"], RevocationKind.USER, "7", 1_769_860_800_000),
        (
            ["user", "7", "--before", "2026-01-31T12:00:00.000001Z"],
            RevocationKind.USER,
            "7",
            1_769_860_800_001,
        ),
    ],
)
def test_what_who_when_and_why_are_stored(
    stored: Revocations, arguments: list[str], kind: RevocationKind, subject: str, before_ms: int | None
) -> None:
    """By default a user's tokens of the time until now are revoked. The output says what is revoked."""
    result = run(arguments[0], "--reason", "the phone was stolen", "--by", "ada", *arguments[1:])

    assert result.exit_code == 0, result.output
    assert f"{kind} {subject} is revoked" in result.output
    expected = Revocation(
        kind=kind,
        subject=subject,
        issued_before_ms=before_ms,
        revoked_ms=NOW_MS,
        revoked_by="ada",
        reason="the phone was stolen",
    )
    assert [expected] == asyncio.run(stored.all())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["user", "0"], "must be an integer"),
        (["user", "7", "--before", "yesterday"], "RFC 3339"),
        (["user", "7", "--before", "2100-01-01T00:00:00Z"], "must not be in the future"),
        (["key", ""], "must not be empty"),
        (["token", "x" * 513], "at most 512 characters"),
        (["key", "a\x1b[2J"], "printable"),
        (["key", "a", "--reason", "b\nc"], "printable"),
    ],
)
def test_what_cannot_be_meant_is_refused(stored: Revocations, arguments: list[str], said: str) -> None:
    """Nothing is stored, and the error names the rule."""
    result = run(*arguments)

    assert result.exit_code != 0
    assert said in result.output
    assert asyncio.run(stored.all()) == []
