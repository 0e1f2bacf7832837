"""The probe of stores in memory."""

from streams.ports.health import StoreProbe


class MemoryStoreProbe(StoreProbe):
    """Memory is always ready."""

    async def check(self) -> None:
        pass
