"""The bucket's rule is added if it is missing, and other rules stay."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from streams.stores.s3.bucket import S3Bucket, S3Refused
from streams.stores.s3.lifecycle import expire_unfinished

PREFIX = "shutterline/"
OTHER = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}
ABORT = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}


class Bucket:
    """A bucket with rules; if it has none, it refuses to list them.

    With `refusal` it refuses every call.
    """

    name = "photos"

    def __init__(self, rules: Sequence[Mapping[str, Any]] = (), refusal: str | None = None) -> None:
        self.rules = list(rules)
        self.puts = 0
        self._refusal = refusal

    async def call(self, operation: str, **arguments: Any) -> Any:
        if self._refusal is not None:
            raise S3Refused(operation, self._refusal, "a test said so")
        if operation == "put_bucket_lifecycle_configuration":
            self.rules = arguments["LifecycleConfiguration"]["Rules"]
            self.puts += 1
            return {}
        if not self.rules:
            raise S3Refused(operation, "NoSuchLifecycleConfiguration", "there is none")
        return {"Rules": self.rules}


async def expire(bucket: Bucket) -> bool:
    return await expire_unfinished(cast(S3Bucket, bucket), PREFIX)


@pytest.mark.parametrize("rules", [[], [OTHER], [OTHER, {**ABORT, "ID": "a", "Filter": {"Prefix": "apps/"}}]])
async def test_the_rule_is_added_once_and_the_others_stay(rules: list[Mapping[str, Any]]) -> None:
    """It aborts unfinished uploads under our prefix after a day."""
    bucket = Bucket(rules)

    for _ in range(2):
        assert await expire(bucket)

    assert bucket.puts == 1
    assert rules == bucket.rules[:-1]
    assert bucket.rules[-1]["Filter"] == {"Prefix": PREFIX}
    assert bucket.rules[-1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


@pytest.mark.parametrize("where", [{"Filter": {"Prefix": PREFIX}}, {"Filter": {}}, {"Prefix": "shutter"}])
async def test_a_rule_that_covers_ours_is_enough(where: Mapping[str, object]) -> None:
    """An operator has set such a rule, so no other rule is added."""
    bucket = Bucket([{**ABORT, "ID": "theirs", **where}])

    assert await expire(bucket)
    assert bucket.puts == 0


@pytest.mark.parametrize(
    "rule",
    [
        {**ABORT, "Status": "Disabled", "Filter": {"Prefix": PREFIX}},
        {**ABORT, "Filter": {"Tag": {"Key": "k", "Value": "v"}}},
        {"Status": "Enabled", "Filter": {"Prefix": PREFIX}, "Expiration": {"Days": 1}},
    ],
)
async def test_a_rule_that_does_not_cover_ours_is_not(rule: Mapping[str, object]) -> None:
    """The rule is disabled, is for tagged objects only, or has another action."""
    bucket = Bucket([{"ID": "theirs", **rule}])

    assert await expire(bucket)
    assert bucket.puts == 1


@pytest.mark.parametrize("refusal", ["NotImplemented", "AccessDenied"])
async def test_a_server_that_refuses_rules_is_no_error(refusal: str) -> None:
    """The cleaning job aborts unfinished uploads even without the rule."""
    assert not await expire(Bucket(refusal=refusal))
