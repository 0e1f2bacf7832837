"""Signed requests and multipart uploads to the media bucket."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from schemas.times import ms_of
from streams.ports.media import MediaUploads, SignedRequest, UnfinishedParts
from streams.retrying import until_true
from streams.stores.s3.bucket import S3Bucket
from streams.stores.s3.lifecycle import expire_unfinished

# S3 lists at most so many parts in one call. One of our uploads has a few parts, so one call is
# enough.
PARTS_A_CALL = 1_000
# Their sum is well below a request's deadline.
RACE_WAITS_S = (0.05, 0.1, 0.2)


def _server_failed(error: BaseException) -> bool:
    # True if the server responded with an error. If it did not respond, this is not retried here:
    # the caller decides whether to wait.
    return isinstance(error.__cause__, ClientError)


# If several callers finish or abort the same parts at once, some servers return an error of their
# own to some of them, and for a moment show neither the parts nor the object. Retrying settles it.
_SETTLING = until_true(RACE_WAITS_S, is_retryable=_server_failed)


class S3MediaUploads(MediaUploads):
    """Multipart uploads and signed PUTs of one bucket."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    async def sign_put(
        self, object_key: str, *, content_type: str, size_bytes: int, life_s: int
    ) -> SignedRequest:
        # With If-None-Match, an object that has arrived cannot be replaced by other bytes of the
        # same size.
        url = await self._sign(
            "put_object",
            life_s,
            Key=object_key,
            ContentType=content_type,
            ContentLength=size_bytes,
            IfNoneMatch="*",
        )
        headers = {"Content-Type": content_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}
        return SignedRequest(url=url, headers=headers)

    async def begin_parts(self, object_key: str, *, content_type: str) -> str:
        answer = await self._bucket.call("create_multipart_upload", Key=object_key, ContentType=content_type)
        return str(answer["UploadId"])

    async def sign_part(
        self, object_key: str, parts_id: str, number: int, *, size_bytes: int, life_s: int
    ) -> SignedRequest:
        url = await self._sign(
            "upload_part",
            life_s,
            Key=object_key,
            UploadId=parts_id,
            PartNumber=number,
            ContentLength=size_bytes,
        )
        return SignedRequest(url=url, headers={"Content-Length": str(size_bytes)})

    async def put_part(self, object_key: str, parts_id: str, number: int, body: bytes) -> None:
        await self._bucket.call(
            "upload_part", Key=object_key, UploadId=parts_id, PartNumber=number, Body=body
        )

    async def parts(self, object_key: str, parts_id: str) -> dict[int, int]:
        arrived = await self._arrived(object_key, parts_id)
        return {part["PartNumber"]: int(part["Size"]) for part in arrived}

    async def finish_parts(self, object_key: str, parts_id: str, sizes: Mapping[int, int]) -> None:
        await self._finish(object_key, parts_id, sizes)

    @_SETTLING.wraps
    async def _finish(self, object_key: str, parts_id: str, sizes: Mapping[int, int]) -> bool:
        """Return False while another caller may be making the object."""
        arrived = await self._arrived(object_key, parts_id)
        if not arrived:
            return await self._bucket.call("head_object", Key=object_key) is not None
        if not all("ETag" in part for part in arrived):
            return False  # A store that removes the parts of a finished upload may list one half-way.
        if sizes != {part["PartNumber"]: int(part["Size"]) for part in arrived}:
            return True
        parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in arrived]
        # None means that the upload does not exist: another caller has finished or aborted it.
        completed = await self._bucket.call(
            "complete_multipart_upload", Key=object_key, UploadId=parts_id, MultipartUpload={"Parts": parts}
        )
        return completed is not None

    async def abort_parts(self, object_key: str, parts_id: str) -> None:
        await self._abort(object_key, parts_id)

    @_SETTLING.wraps
    async def _abort(self, object_key: str, parts_id: str) -> bool:
        await self._bucket.call("abort_multipart_upload", Key=object_key, UploadId=parts_id)
        return True

    async def unfinished(self, prefix: str) -> list[UnfinishedParts]:
        unfinished: list[UnfinishedParts] = []
        marker: dict[str, object] = {}
        while True:
            answer = await self._bucket.call("list_multipart_uploads", Prefix=prefix, **marker)
            unfinished.extend(
                UnfinishedParts(
                    object_key=upload["Key"],
                    parts_id=upload["UploadId"],
                    started_ms=ms_of(upload["Initiated"]),
                )
                for upload in answer.get("Uploads", ())
            )
            if not answer.get("IsTruncated"):
                return unfinished
            marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    async def expire_unfinished(self, prefix: str) -> bool:
        return await expire_unfinished(self._bucket, prefix)

    async def _arrived(self, object_key: str, parts_id: str) -> list[dict[str, Any]]:
        answer = await self._bucket.call(
            "list_parts", Key=object_key, UploadId=parts_id, MaxParts=PARTS_A_CALL
        )
        return list((answer or {}).get("Parts", ()))

    async def _sign(self, operation: str, life_s: int, **arguments: object) -> str:
        # The client computes the signature itself and makes no request.
        url = await self._bucket.client.generate_presigned_url(
            operation, Params={"Bucket": self._bucket.name, **arguments}, ExpiresIn=life_s
        )
        return str(url)
