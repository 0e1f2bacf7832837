"""Signed requests and uploads by parts to the media bucket."""

from collections.abc import Mapping
from operator import not_
from typing import Any

from botocore.exceptions import ClientError
from tenacity import (
    RetryCallState,
    retry,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    wait_chain,
    wait_fixed,
)

from streams.ports.media import SignedRequest, UnfinishedParts
from streams.stores.s3.bucket import S3Bucket
from streams.stores.s3.lifecycle import expire_unfinished

# S3 answers at most so many parts a call; an upload of ours has a handful.
PARTS_A_CALL = 1_000
# In all well within a request's deadline.
RACE_WAITS_S = (0.05, 0.1, 0.2)


def _server_failed(error: BaseException) -> bool:
    # It did answer: what did not is an outage, and not waited for here.
    return isinstance(error.__cause__, ClientError)


def _last_outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()


# Of several who finish or abort the same parts at once, some servers tell some of an error of
# their own, and meanwhile show neither parts nor object. Looking again settles it.
_settled = retry(
    retry=retry_if_exception(_server_failed) | retry_if_result(not_),
    wait=wait_chain(*map(wait_fixed, RACE_WAITS_S)),
    stop=stop_after_attempt(1 + len(RACE_WAITS_S)),
    retry_error_callback=_last_outcome,
)


class S3MediaUploads:
    """`media_ports.MediaUploads` over S3."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    async def sign_put(
        self, object_key: str, *, content_type: str, size_bytes: int, life_s: int
    ) -> SignedRequest:
        # If-None-Match: what has arrived cannot be put again with other bytes of the same length.
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

    @_settled
    async def _finish(self, object_key: str, parts_id: str, sizes: Mapping[int, int]) -> bool:
        """False while somebody else may be making the object."""
        arrived = await self._arrived(object_key, parts_id)
        if not arrived:
            return await self._bucket.call("head_object", Key=object_key) is not None
        if sizes != {part["PartNumber"]: int(part["Size"]) for part in arrived}:
            return True
        parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in arrived]
        # None, as of everything that is not there: somebody else has finished or aborted it.
        answer = await self._bucket.call(
            "complete_multipart_upload", Key=object_key, UploadId=parts_id, MultipartUpload={"Parts": parts}
        )
        return answer is not None

    async def abort_parts(self, object_key: str, parts_id: str) -> None:
        await self._abort(object_key, parts_id)

    @_settled
    async def _abort(self, object_key: str, parts_id: str) -> bool:
        await self._bucket.call("abort_multipart_upload", Key=object_key, UploadId=parts_id)
        return True

    async def unfinished(self, prefix: str) -> list[UnfinishedParts]:
        found: list[UnfinishedParts] = []
        place: dict[str, object] = {}
        while True:
            answer = await self._bucket.call("list_multipart_uploads", Prefix=prefix, **place)
            found.extend(
                UnfinishedParts(
                    object_key=each["Key"],
                    parts_id=each["UploadId"],
                    started_ms=int(each["Initiated"].timestamp() * 1_000),
                )
                for each in answer.get("Uploads", ())
            )
            if not answer.get("IsTruncated"):
                return found
            place = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    async def expire_unfinished(self, prefix: str) -> bool:
        return await expire_unfinished(self._bucket, prefix)

    async def _arrived(self, object_key: str, parts_id: str) -> list[dict[str, Any]]:
        answer = await self._bucket.call(
            "list_parts", Key=object_key, UploadId=parts_id, MaxParts=PARTS_A_CALL
        )
        return list((answer or {}).get("Parts", ()))

    async def _sign(self, operation: str, life_s: int, **arguments: object) -> str:
        # No call is made: it is arithmetic.
        url = await self._bucket.client.generate_presigned_url(
            operation, Params={"Bucket": self._bucket.name, **arguments}, ExpiresIn=life_s
        )
        return str(url)
