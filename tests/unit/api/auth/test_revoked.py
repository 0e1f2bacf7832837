"""Revocations of keys, users and tokens, as one API process knows them."""

import logging
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest

from api.auth.revoked import RELOAD_S, RevokedPoller
from api.auth.tokens import InvalidToken, TokenVerifier
from streams.errors import StoreUnavailable
from streams.ports.revocations import Revocation, RevocationKind
from streams.stores.memory.revocations import MemoryRevocations
from tests.worlds.api import NOW_MS, SECRET, Switchable, make_world
from tests.worlds.tokens import (
    EC_KEY,
    NOW_S,
    RSA_KEY,
    KeySetSource,
    claims_of,
    jwk,
    jwks,
    make_verifier,
)

KEY, USER, TOKEN = RevocationKind.KEY, RevocationKind.USER, RevocationKind.TOKEN


@dataclass(slots=True)
class Revoking:
    """A verifier whose revocations are in memory."""

    now_s: float = 1_000.0
    source: KeySetSource = field(default_factory=lambda: KeySetSource(jwk(RSA_KEY, "a"), jwk(EC_KEY)))
    store: Any = None
    poller: RevokedPoller = field(init=False)
    verifier: TokenVerifier = field(init=False)

    def __post_init__(self) -> None:
        self.store = Switchable(MemoryRevocations(lambda: NOW_MS), "revocations")
        self.poller = RevokedPoller(
            store=self.store, refresh_s=1, stale_s_max=3_600, clock_s=lambda: self.now_s
        )
        self.verifier = make_verifier(jwks(self.source), revoked=self.poller)

    async def revoke(self, kind: RevocationKind, subject: str, before_s: float | None = None) -> None:
        """Store a revocation; the process learns of it with its next refresh."""
        before_ms = None if before_s is None else int(before_s * 1_000)
        revocation = Revocation(
            kind=kind,
            subject=subject,
            issued_before_ms=before_ms,
            revoked_ms=NOW_MS + self.store.calls.count("revoke"),
            revoked_by="ada",
            reason="stolen",
        )
        await self.store.revoke(revocation, life_s=None)

    async def accepts(self, token: str) -> bool:
        try:
            await self.verifier.verify(token)
        except InvalidToken:
            return False
        return True


def rsa_token(kid: str | None = "a", **claims: object) -> str:
    return jwt.encode(claims_of(**claims), RSA_KEY, "RS256", {} if kid is None else {"kid": kid})


async def test_a_revoked_token_is_rejected_although_its_signature_is_cached() -> None:
    """Only that token: the user's other tokens stay valid."""
    revoking = Revoking()
    await revoking.poller.refresh()
    token, other = rsa_token(jti="t1"), rsa_token(jti="t2")
    assert [True] * 2 == [await revoking.accepts(token), await revoking.accepts(other)]

    await revoking.revoke(TOKEN, "t1")
    await revoking.poller.refresh()

    assert [False, True] == [await revoking.accepts(token), await revoking.accepts(other)]
    assert await revoking.accepts(rsa_token())


@pytest.mark.parametrize("token_id", [7, "7"])
async def test_a_token_whose_id_is_no_text_can_be_revoked(token_id: object) -> None:
    """RFC 7519 wants a string, and issuers write numbers."""
    revoking = Revoking()
    await revoking.revoke(TOKEN, "7")
    await revoking.poller.refresh()

    assert not await revoking.accepts(rsa_token(jti=token_id))


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"iat": NOW_S - 61}, False),
        ({"iat": NOW_S - 60.5}, False),
        ({"iat": NOW_S - 60}, True),
        ({"iat": NOW_S}, True),
        ({}, False),
        ({"sub": "8", "iat": NOW_S - 61}, True),
        ({"sub": "77"}, True),
    ],
)
async def test_a_users_tokens_of_an_earlier_time_are_rejected(claims: dict[str, Any], good: bool) -> None:
    """Those issued later are valid, and those of other users. One without a time may be older."""
    revoking = Revoking()
    await revoking.poller.refresh()
    token = rsa_token(**claims)
    assert await revoking.accepts(token)

    await revoking.revoke(USER, "7", NOW_S - 60)
    await revoking.poller.refresh()

    assert good == await revoking.accepts(token)


async def test_an_earlier_revocation_of_a_user_gives_no_token_back() -> None:
    """The latest time counts, in whatever order they were stored."""
    revoking = Revoking()
    for before_s in (NOW_S - 1_000, NOW_S, NOW_S - 500):
        await revoking.revoke(USER, "7", before_s)
    await revoking.poller.refresh()

    assert not await revoking.accepts(rsa_token(iat=NOW_S - 1))


@pytest.mark.parametrize("kid", ["a", None])
async def test_a_revoked_key_is_rejected_although_the_set_has_it(kid: str | None) -> None:
    """Also for a token that does not name the key. The other keys of the set stay valid."""
    revoking = Revoking()
    await revoking.poller.refresh()
    token = rsa_token(kid)
    assert await revoking.accepts(token)

    await revoking.revoke(KEY, "a")
    await revoking.poller.refresh()

    assert not await revoking.accepts(token)
    assert await revoking.accepts(jwt.encode(claims_of(), EC_KEY, "ES256"))


async def test_a_key_without_an_id_is_revoked_by_its_thumbprint() -> None:
    """So is a key that the issuer publishes again with another id."""
    revoking = Revoking()
    (key,) = await jwks(revoking.source).keys_for(None, "ES256")
    await revoking.revoke(KEY, key.thumbprint)
    await revoking.poller.refresh()

    assert not await revoking.accepts(jwt.encode(claims_of(), EC_KEY, "ES256"))
    assert await revoking.accepts(rsa_token())


async def test_a_key_that_left_the_set_is_rejected_although_the_signature_is_cached() -> None:
    """Its times are checked with every request, too."""
    clock_s = float(NOW_S)
    source = KeySetSource(jwk(RSA_KEY, "a"))
    keys = jwks(source)
    verifier = make_verifier(keys, clock_us=lambda: int(clock_s * 1_000_000))
    token = rsa_token(exp=NOW_S + 60)
    assert (await verifier.verify(token)).user_id == (await verifier.verify(token)).user_id == 7

    clock_s += 90
    with pytest.raises(InvalidToken, match="expired"):
        await verifier.verify(token)
    clock_s -= 90
    source.document = KeySetSource(jwk(EC_KEY, "a")).document
    await keys.refresh()
    with pytest.raises(InvalidToken):
        await verifier.verify(token)


async def test_tokens_are_checked_without_a_call() -> None:
    """A refresh reads one cell while nothing changes, and every row now and then."""
    revoking = Revoking()
    await revoking.poller.refresh()
    revoking.store.calls.clear()
    for _ in range(3):
        assert await revoking.accepts(rsa_token(jti="t1", iat=NOW_S))
        await revoking.poller.refresh()

    assert ["version"] * 3 == revoking.store.calls
    revoking.now_s += RELOAD_S
    await revoking.poller.refresh()
    assert ["version"] * 4 + ["all"] == revoking.store.calls


async def test_the_last_revocations_stay_in_use_for_an_hour() -> None:
    """Then nothing vouches for tokens any more: 503, as while none was ever read."""
    revoking = Revoking()
    with pytest.raises(StoreUnavailable):
        await revoking.accepts(rsa_token())
    await revoking.revoke(TOKEN, "t1")
    await revoking.poller.refresh()
    revoking.store.down = True

    revoking.now_s += 3_600
    with pytest.raises(StoreUnavailable):
        await revoking.poller.refresh()
    assert [True, False] == [await revoking.accepts(rsa_token()), await revoking.accepts(rsa_token(jti="t1"))]
    revoking.now_s += 1
    with pytest.raises(StoreUnavailable):
        await revoking.accepts(rsa_token())


async def test_each_new_revocation_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With who, when and why. Those that a process finds at its start were logged by others."""
    caplog.set_level(logging.INFO)
    revoking = Revoking()
    await revoking.revoke(TOKEN, "old")
    await revoking.poller.refresh()
    await revoking.revoke(USER, "7", NOW_S)
    await revoking.revoke(KEY, "a\nb")
    for _ in range(3):
        revoking.now_s += RELOAD_S
        await revoking.poller.refresh()

    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("revoked: ")]
    assert lines == [
        "revoked: key 'a\\nb', by 'ada' at 2027-01-15T08:00:00.002000Z, reason: 'stolen'",
        "revoked: user '7', tokens issued before 2027-01-15T08:00:00.000000Z, by 'ada' at "
        "2027-01-15T08:00:00.001000Z, reason: 'stolen'",
    ]


async def test_a_revoked_token_is_401() -> None:
    """The whole way: the store, the process, the response."""
    world = await make_world()
    token = jwt.encode(claims_of(jti="t1"), SECRET, "HS256")
    async with world.client() as client:
        headers = {"Authorization": f"Bearer {token}"}
        before = (await client.get("/v1/users/1", headers=headers)).status_code
        revocation = Revocation(
            kind=TOKEN, subject="t1", issued_before_ms=None, revoked_ms=NOW_MS, revoked_by="ada", reason=""
        )
        await world.stores.revocations.revoke(revocation, life_s=60)
        await world.services.verifier.revoked.refresh()
        after = await client.get("/v1/users/1", headers=headers)

    assert (200, 401) == (before, after.status_code)
    assert "it is revoked" in after.json()["detail"]
