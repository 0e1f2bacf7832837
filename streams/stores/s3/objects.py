"""The media bucket's objects."""

from collections.abc import Sequence

from schemas.times import ms_of
from streams.errors import StoreUnavailable
from streams.ports.media import MediaObjects, StoredObject
from streams.stores.s3.bucket import STORE, S3Bucket, S3Refused

# A year: an object never changes, because its key contains the hash of its bytes.
IMMUTABLE = "public, max-age=31536000, immutable"
KEYS_A_CALL = 1_000


class S3MediaObjects(MediaObjects):
    """The objects of one bucket."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    async def size(self, object_key: str) -> int | None:
        answer = await self._bucket.call("head_object", Key=object_key)
        return None if answer is None else int(answer["ContentLength"])

    async def read(self, object_key: str, *, bytes_max: int) -> bytes | None:
        try:
            answer = await self._bucket.call("get_object", Key=object_key, Range=f"bytes=0-{bytes_max}")
        except S3Refused as refused:
            if refused.code == "InvalidRange":
                return b""  # The object is empty, so even the first byte is out of range.
            raise
        return None if answer is None else bytes(answer["Body"])

    async def put(self, object_key: str, body: bytes, *, content_type: str) -> None:
        await self._bucket.call(
            "put_object", Key=object_key, Body=body, ContentType=content_type, CacheControl=IMMUTABLE
        )

    async def delete(self, object_keys: Sequence[str]) -> None:
        for start in range(0, len(object_keys), KEYS_A_CALL):
            keys = [{"Key": key} for key in object_keys[start : start + KEYS_A_CALL]]
            answer = await self._bucket.call("delete_objects", Delete={"Objects": keys, "Quiet": True})
            for error in answer.get("Errors", ()):
                cause = f"{error['Code']} {error['Key']} {error.get('Message', '')}"
                raise StoreUnavailable(STORE, "delete_objects", cause)

    async def list(self, prefix: str, *, after: str = "", limit: int) -> list[StoredObject]:
        answer = await self._bucket.call("list_objects_v2", Prefix=prefix, StartAfter=after, MaxKeys=limit)
        return [
            StoredObject(
                object_key=listed["Key"],
                size_bytes=int(listed["Size"]),
                modified_ms=ms_of(listed["LastModified"]),
            )
            for listed in answer.get("Contents", ())
        ]
