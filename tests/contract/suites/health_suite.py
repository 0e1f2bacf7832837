"""What `StoreProbe` and `StoreClock` promise."""

from streams.ports.groups import Stores

# 2024 and 2058, the range of ids: seconds or milliseconds by mistake would be outside of it.
FIRST_US, LAST_US = 1_704_067_200_000_000, 2_803_578_827_775_000


class StoreProbeSuite:
    async def test_a_store_that_is_well_passes(self, stores: Stores) -> None:
        """The probe of a healthy store raises nothing, also when it is repeated."""
        for probe in (stores.cassandra_probe, stores.redis_probe, stores.s3_probe):
            for _ in range(2):
                await probe.check()


class StoreClockSuite:
    async def test_a_clock_goes_forward_and_is_near_ours(self, stores: Stores) -> None:
        """Servers of a test share this machine's clock; the twin has a clock of its own."""
        for clock in (stores.cassandra_clock, stores.redis_clock):
            first, second = await clock.now_us(), await clock.now_us()
            assert FIRST_US < first <= second < LAST_US
