"""Whether S3 will ever let a process in with its settings."""

import asyncio
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, SSLError

from streams.errors import StoreMisconfigured
from streams.settings import S3Settings
from streams.stores.s3.bucket import ERRORS, STORE, S3Bucket
from streams.stores.tls import require_certificate, tls_context
from streams.threads import in_thread

ACCESS_S_MAX = 3.0
# Not AccessDenied: a permission that is missing may be granted while we wait.
_WRONG_KEY = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})


async def require_access(bucket: S3Bucket, settings: S3Settings) -> None:
    """List the bucket once, without its guard; return if waiting may help, or all is well.

    Raises:
        StoreMisconfigured: S3 does not know the key, or has an invalid certificate.
    """
    try:
        async with asyncio.timeout(ACCESS_S_MAX):
            await bucket.client.list_objects_v2(Bucket=bucket.name, Prefix=settings.object_prefix, MaxKeys=1)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _WRONG_KEY:
            raise StoreMisconfigured(
                f"{STORE} at {settings.s3} refuses the key {settings.s3_access_key!r}: it or its secret is "
                "wrong. Correct SHUTTERLINE_S3_ACCESS_KEY or SHUTTERLINE_S3_SECRET_KEY, then start again."
            ) from error
    except SSLError:
        address, context = urlsplit(settings.s3), tls_context(settings.s3_tls_ca)
        server = f"{address.hostname}:{address.port or 443}"
        await in_thread(require_certificate, STORE, [server], context, "SHUTTERLINE_S3_TLS_CA")
    except (*ERRORS, TimeoutError):
        pass
