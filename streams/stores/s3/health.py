"""The object that shows whether S3 takes writes and reads."""

from streams.ports.health import StoreProbe
from streams.stores.s3.bucket import S3Bucket

# The key is outside of every prefix of photos, so the cleaning never lists this object.
OBJECT_KEY = "readyz"


class S3StoreProbe(StoreProbe):
    """One object of a byte."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    async def check(self) -> None:
        await self._bucket.call("put_object", Key=OBJECT_KEY, Body=b"1", ContentType="text/plain")
        await self._bucket.call("head_object", Key=OBJECT_KEY)
