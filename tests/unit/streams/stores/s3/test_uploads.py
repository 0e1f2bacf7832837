"""Finishing an upload by parts while another caller does so."""

from typing import Any, cast

from streams.stores.s3.bucket import S3Bucket
from streams.stores.s3.uploads import S3MediaUploads

PART = {"PartNumber": 1, "Size": 3}


class _Bucket:
    """Lists a part half-way while it is removed, then none; the object is there."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = [{"Parts": [PART]}, {"Parts": []}]
        self.asked: list[str] = []

    async def call(self, operation: str, **_: object) -> dict[str, Any]:
        self.asked.append(operation)
        return self.listed.pop(0) if operation == "list_parts" else {}


async def test_a_part_that_is_being_removed_is_waited_for() -> None:
    """It has no ETag, because another caller has just finished the upload. Then the object is complete."""
    bucket = _Bucket()

    await S3MediaUploads(cast(S3Bucket, bucket)).finish_parts("key", "parts", {1: 3})

    assert bucket.asked == ["list_parts", "list_parts", "head_object"]
