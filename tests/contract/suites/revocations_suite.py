"""What `Revocations` promises."""

from collections.abc import Callable
from dataclasses import replace

from streams.ports.groups import Stores
from streams.ports.revocations import Revocation, RevocationKind
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]


class RevocationsSuite:
    def revocation(self, kind: RevocationKind, subject: object) -> Revocation:
        return Revocation(
            kind=kind,
            subject=str(subject),
            issued_before_ms=1_790_000_000_001 if kind is RevocationKind.USER else None,
            revoked_ms=1_790_000_000_123,
            revoked_by="ada",
            reason="the laptop was stolen",
        )

    async def test_a_revocation_is_stored_with_who_when_and_why(self, stores: Stores, new_id: NewId) -> None:
        """A reader that polls the version sees every revocation."""
        versions = [await stores.revocations.version()]
        for kind in RevocationKind:
            revocation = self.revocation(kind, new_id())
            for _ in range(2):
                await stores.revocations.revoke(revocation, life_s=None)
            versions.append(await stores.revocations.version())

            assert [revocation] == [
                stored for stored in await stores.revocations.all() if stored.subject == revocation.subject
            ]
        assert len(set(versions)) == 4

    async def test_revocations_of_one_subject_do_not_replace_each_other(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Otherwise a second one with an earlier time would give tokens back that the first revoked."""
        first = self.revocation(RevocationKind.USER, new_id())
        second = replace(first, issued_before_ms=1_000, revoked_ms=first.revoked_ms + 1, revoked_by="bob")
        for revocation in (second, first):
            await stores.revocations.revoke(revocation, life_s=60)

        assert [first, second] == [
            stored for stored in await stores.revocations.all() if stored.subject == first.subject
        ]

    async def test_a_revocation_with_a_life_expires(
        self, stores: Stores, passing: PassingTime, new_id: NewId
    ) -> None:
        """The tokens that it revoked have expired before it. Others stay."""
        brief, lasting = (self.revocation(RevocationKind.TOKEN, new_id()) for _ in range(2))
        await stores.revocations.revoke(brief, life_s=1)
        await stores.revocations.revoke(lasting, life_s=None)

        async def expired() -> bool:
            return brief not in await stores.revocations.all()

        await passing.until(expired, "a revocation expires")
        assert lasting in await stores.revocations.all()
