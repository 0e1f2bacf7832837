"""What `StoreProbe` promises."""

from streams.ports.groups import Stores


class StoreProbeSuite:
    async def test_a_store_that_is_well_passes(self, stores: Stores) -> None:
        """The probe of a healthy store raises nothing, also when it is repeated."""
        for probe in (stores.cassandra_probe, stores.redis_probe, stores.s3_probe):
            for _ in range(2):
                await probe.check()
