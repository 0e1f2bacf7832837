"""A rule of the media bucket that removes unfinished multipart uploads.

The cleaning aborts them after an hour. The rule removes them if the cleaning does not run.
"""

import logging
from collections.abc import Mapping
from typing import Any

from streams.stores.s3.bucket import S3Bucket, S3Refused

log = logging.getLogger(__name__)
# S3's shortest interval.
DAYS = 1
_NO_RULES = "NoSuchLifecycleConfiguration"


async def expire_unfinished(bucket: S3Bucket, prefix: str) -> bool:
    """Add the rule for `prefix` unless a rule covers it; other rules remain. See `MediaUploads`."""
    try:
        rules = await _rules(bucket)
        if not any(_covers(rule, prefix) for rule in rules):
            # A bucket has one list of rules, and S3 only replaces the whole list.
            configuration = {"Rules": [*rules, _rule(prefix)]}
            await bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration=configuration)
    except S3Refused as refused:
        # The server has no such rules, or does not allow us to set them. Then an operator sets the
        # rule.
        log.debug("the bucket does not remove unfinished uploads by itself: %s", refused)
        return False
    return True


async def _rules(bucket: S3Bucket) -> list[Mapping[str, Any]]:
    try:
        answer = await bucket.call("get_bucket_lifecycle_configuration")
    except S3Refused as refused:
        if refused.code == _NO_RULES:
            return []
        raise
    return list(answer["Rules"])


def _covers(rule: Mapping[str, Any], prefix: str) -> bool:
    """Return whether a rule aborts unfinished uploads under `prefix`, with no other filter."""
    where = rule.get("Filter", {})
    return (
        rule["Status"] == "Enabled"
        and "AbortIncompleteMultipartUpload" in rule
        and where.keys() <= {"Prefix"}
        and prefix.startswith(where.get("Prefix", rule.get("Prefix", "")))
    )


def _rule(prefix: str) -> dict[str, object]:
    return {
        "ID": f"abort unfinished uploads under {prefix}",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": DAYS},
    }
