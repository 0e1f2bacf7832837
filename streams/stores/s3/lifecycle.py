"""The media bucket's own rule that forgets unfinished uploads by parts.

A second line: the cleaning aborts them after an hour; the rule does where no cleaning runs.
"""

import logging
from collections.abc import Mapping
from typing import Any

from streams.stores.s3.bucket import S3Bucket, S3Refused

log = logging.getLogger(__name__)
# Shorter than a day S3 does not know.
DAYS = 1
_NO_RULES = "NoSuchLifecycleConfiguration"


async def expire_unfinished(bucket: S3Bucket, prefix: str) -> bool:
    """Add the rule for `prefix` unless one covers it; all other rules stay. See `MediaUploads`."""
    try:
        rules = await _rules(bucket)
        if not any(_covers(rule, prefix) for rule in rules):
            # The bucket has one list of rules, which is put as a whole.
            configuration = {"Rules": [*rules, _rule(prefix)]}
            await bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration=configuration)
    except S3Refused as refused:
        # Not known there, or not allowed to us, which is as well: it is the cloud's own setting then.
        log.debug("the bucket does not forget unfinished uploads by itself: %s", refused)
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
    """A rule with no filter but a prefix that aborts what is unfinished."""
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
