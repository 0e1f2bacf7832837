"""Which requests the media bucket refuses: everything but the operations that we need, as they were
signed."""

import hashlib
import stat
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from infra.local.credentials import load_or_make
from infra.local.servers.s3 import MEDIA_BUCKET, REGION
from tests.integration.edge.photos import Photos
from tests.integration.plain_http import Answer, ask, target_of

SECRET = b"GPS 52.5 13.4"
BODY = b"bytes"
EMPTY = hashlib.sha256(b"").hexdigest()
# What changes an operation if S3 honours it. `STRANGER` is another author's object.
HEADERS = {
    "x-amz-copy-source": f"/{MEDIA_BUCKET}/STRANGER",
    "X-AMZ-Copy-Source": f"{MEDIA_BUCKET}/STRANGER",
    "x-amz-copy-source-range": "bytes=0-3",
    "x-amz-metadata-directive": "COPY",
    "x-amz-acl": "public-read",
    "x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
    "x-amz-grant-full-control": 'id="1"',
    "x-amz-tagging": "a=b",
    "x-amz-website-redirect-location": "http://elsewhere.example/",
    "x-amz-storage-class": "GLACIER",
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-meta-author": "1",
    "x-amz-security-token": "t",
    "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    "x-amz-date": "20260101T000000Z",
    "x-amz-decoded-content-length": "1",
}
SUBRESOURCES = [
    *("acl", "policy", "policyStatus", "versions", "versioning", "tagging", "website", "cors", "logging"),
    *("lifecycle", "notification", "replication", "encryption", "publicAccessBlock", "ownershipControls"),
    *("location", "object-lock", "torrent", "attributes"),
]
LISTINGS = ["uploads", "list-type=2", "delete"]
Change = Callable[[str, Mapping[str, str]], tuple[str, str, Mapping[str, str]]]


@pytest.fixture
def stranger(photos: Photos, key: str) -> str:
    """Another author's original."""
    return photos.put(f"shutterline/originals/{int(key.split('/')[1][:8], 16) + 1}", SECRET)


def signed_put(photos: Photos, key: str) -> tuple[str, dict[str, str]]:
    """What the API gives to a client for one upload."""
    url = photos.s3.generate_presigned_url(
        "put_object",
        Params={
            "Bucket": MEDIA_BUCKET,
            "Key": key,
            "ContentType": "image/jpeg",
            "ContentLength": len(BODY),
            "IfNoneMatch": "*",
        },
        ExpiresIn=60,
    )
    return target_of(url), {"Content-Type": "image/jpeg", "If-None-Match": "*"}


def signed_headers(
    photos: Photos, method: str, target: str, *, reading: bool = False, payload: str = EMPTY
) -> dict[str, str]:
    """The headers of a request that is signed with one of the two keys."""
    made = load_or_make(photos.stack.home.secrets)
    key, secret = made.s3_access_key, made.s3_secret_key
    if reading:
        key, secret = made.s3_read_access_key, made.s3_read_secret_key
    host = f"127.0.0.1:{photos.stack.port('s3')}"
    request = botocore.awsrequest.AWSRequest(method, f"http://{host}{target}", {}, b"")
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(key, secret), "s3", REGION)
    signer.payload = lambda _request: payload  # What it states as the hash of the body.
    signer.add_auth(request)
    return {"Host": host, **{name: str(value) for name, value in request.headers.items()}}


class Store:
    """Requests to S3 at its gate, or at the store behind it."""

    def __init__(self, photos: Photos, name: str) -> None:
        gate, port = photos.stack.port("s3"), photos.stack.port(name)
        assert gate is not None
        assert port is not None
        self.host, self.port = f"127.0.0.1:{gate}", port

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        return await ask(self.port, target, method, {"Host": self.host, **(headers or {})}, body)


@pytest.fixture(params=["s3", "s3_store"])
def store(photos: Photos, request: pytest.FixtureRequest) -> Store:
    return Store(photos, request.param)


@pytest.fixture
def gate(photos: Photos) -> Store:
    return Store(photos, "s3")


def keys_of(photos: Photos) -> Sequence[str]:
    return [found["Key"] for found in photos.s3.list_objects_v2(Bucket=MEDIA_BUCKET).get("Contents", ())]


class TestSignedUploads:
    async def test_what_was_signed_is_stored_once(self, photos: Photos, gate: Store, key: str) -> None:
        """A signed PUT stores its body; the same request later cannot replace it."""
        target, headers = signed_put(photos, key)

        first = await gate.ask("PUT", target, headers, BODY)
        second = await gate.ask("PUT", target, headers, b"other")

        assert (first.status, second.status) == (200, 412)
        with photos.s3.get_object(Bucket=MEDIA_BUCKET, Key=key)["Body"] as body:
            assert body.read() == BODY

    @pytest.mark.parametrize("name", HEADERS)
    async def test_a_header_that_was_not_signed_is_refused(
        self, photos: Photos, store: Store, key: str, stranger: str, name: str
    ) -> None:
        """With a copy source, a client's own signed PUT once stored a stranger's original under a key
        that the client may read. The gate refuses it, and behind the gate no such signature is valid."""
        target, headers = signed_put(photos, key)

        more = {name: HEADERS[name].replace("STRANGER", stranger)}
        answer = await store.ask("PUT", target, {**headers, **more}, BODY)

        # The store itself does not know all of these headers.
        assert answer.status in ({403} if store.port == photos.stack.port("s3") else {403, 501})
        assert key not in keys_of(photos)

    @pytest.mark.parametrize("name", [name for name in HEADERS if name.startswith("x-amz-")])
    async def test_nor_as_a_parameter(
        self, photos: Photos, store: Store, key: str, stranger: str, name: str
    ) -> None:
        """The whole query is signed, so nothing can be added to it."""
        target, headers = signed_put(photos, key)

        value = quote(HEADERS[name].replace("STRANGER", stranger), safe="")
        answer = await store.ask("PUT", f"{target}&{name}={value}", headers, BODY)

        assert answer.status == 403
        assert key not in keys_of(photos)

    @pytest.mark.parametrize(
        "change",
        [
            lambda target, headers: ("PUT", target.replace("thumbnail", "other"), headers),
            lambda target, headers: ("DELETE", target, headers),
            lambda target, headers: ("POST", target, headers),
            lambda target, headers: ("PUT", target, {**headers, "Content-Type": "text/html"}),
            lambda target, headers: ("PUT", target, {"Content-Type": "image/jpeg"}),
            lambda target, headers: ("PUT", target.replace("Expires=60", "Expires=600"), headers),
            lambda target, headers: ("PUT", target.replace("content-length%3B", ""), headers),
            lambda target, headers: ("PUT", target + "&X-Amz-Expires=60", headers),
            lambda target, headers: ("PUT", target + "&acl", headers),
            lambda target, headers: ("PUT", target[:-1] + ("0" if target[-1] != "0" else "1"), headers),
            lambda target, headers: ("PUT", target, {**headers, "Host": "127.0.0.1:1"}),
        ],
    )
    async def test_any_other_change_is_refused(
        self, photos: Photos, store: Store, key: str, change: Change
    ) -> None:
        """A signature is for one method, object, type, length, time and address."""
        method, target, headers = change(*signed_put(photos, key))

        assert (await store.ask(method, target, headers, BODY)).status == 403
        assert key not in keys_of(photos)

    async def test_another_length_is_refused(self, photos: Photos, gate: Store, key: str) -> None:
        """The API counted the bytes that it signed for."""
        target, headers = signed_put(photos, key)

        longer = await gate.ask("PUT", target, headers, BODY + b"more")
        unsaid = await gate.ask("PUT", target, {**headers, "Transfer-Encoding": "chunked"})

        assert (longer.status, unsaid.status) == (403, 403)
        assert key not in keys_of(photos)

    @pytest.mark.parametrize(
        "more", [{"ACL": "public-read"}, {"Tagging": "a=b"}, {"WebsiteRedirectLocation": "/x"}]
    )
    async def test_nor_does_a_signature_make_objects_public(
        self, photos: Photos, key: str, more: Mapping[str, str]
    ) -> None:
        """The bucket has no ACLs, as in production (BucketOwnerEnforced); the local store says 501."""
        with pytest.raises(photos.s3.exceptions.ClientError, match="NotImplemented"):
            photos.s3.put_object(Bucket=MEDIA_BUCKET, Key=key, Body=BODY, **more)

        assert key not in keys_of(photos)


class TestStrangers:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"])
    @pytest.mark.parametrize("query", ["", *SUBRESOURCES, *LISTINGS])
    async def test_nothing_is_open_without_a_signature(
        self, store: Store, stranger: str, method: str, query: str
    ) -> None:
        """No list of keys, no ACL, no policy, no object."""
        targets = ["/", f"/{MEDIA_BUCKET}", f"/{MEDIA_BUCKET}/", f"/{MEDIA_BUCKET}/{stranger}", "/other"]

        answers = [await store.ask(method, f"{target}?{query}") for target in targets]

        # The store has no bucket `other`, and says so.
        assert {answer.status for answer in answers} <= {400, 403, 404, 405, 501}
        assert not any(stranger.encode() in answer.body or SECRET in answer.body for answer in answers)

    @pytest.mark.parametrize("query", SUBRESOURCES)
    async def test_nor_with_one(self, photos: Photos, gate: Store, stranger: str, query: str) -> None:
        """What we do not need is refused even to our own key."""
        answers = [
            await gate.ask(method, target, signed_headers(photos, method, target))
            for method in ("GET", "PUT", "DELETE")
            for target in (f"/{MEDIA_BUCKET}?{query}", f"/{MEDIA_BUCKET}/{stranger}?{query}")
        ]

        assert {answer.status for answer in answers} == {501}

    async def test_a_body_is_the_one_that_was_signed(self, photos: Photos, gate: Store, key: str) -> None:
        """The hash that a request states goes on to the store. Chunks with signatures of their own could
        not be checked there."""
        target = f"/{MEDIA_BUCKET}/{key}"
        empty = {**signed_headers(photos, "PUT", target), "Content-Length": str(len(BODY))}
        chunks = signed_headers(photos, "PUT", target, payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")

        other = await gate.ask("PUT", target, empty, BODY)
        streamed = await gate.ask("PUT", target, chunks, BODY)

        assert (other.status, streamed.status) == (400, 501)
        assert key not in keys_of(photos)

    async def test_there_is_one_bucket(self, photos: Photos, gate: Store) -> None:
        """Our own key cannot list, make or remove buckets."""
        targets = [("GET", "/"), ("PUT", "/other"), ("GET", "/other/a"), ("PUT", f"/{MEDIA_BUCKET}")]
        targets += [("DELETE", f"/{MEDIA_BUCKET}"), ("GET", f"/{MEDIA_BUCKET}/../secrets/jwt-secret")]

        answers = [await gate.ask(*asked, signed_headers(photos, *asked)) for asked in targets]

        assert {answer.status for answer in answers} <= {400, 403, 501}

    async def test_the_key_of_the_shield_reads_no_original(
        self, photos: Photos, gate: Store, key: str, stranger: str
    ) -> None:
        """It reads what browsers may see, and lists nothing."""
        photos.put(key, BODY)
        targets = [f"/{MEDIA_BUCKET}/{key}", f"/{MEDIA_BUCKET}/{stranger}", f"/{MEDIA_BUCKET}?list-type=2"]
        targets.append(f"/{MEDIA_BUCKET}//{stranger}")

        answers = [
            await gate.ask("GET", target, signed_headers(photos, "GET", target, reading=True))
            for target in targets
        ]

        assert [answer.status for answer in answers] == [200, 403, 403, 403]


class TestFolders:
    def test_nobody_else_can_enter_the_folders_of_the_stack(self, photos: Photos, key: str) -> None:
        """Objects, messages and logs are in files. The store even reads their permissions as ACLs."""
        photos.put(key, BODY)
        home = photos.stack.home
        folders = [folder for folder in [home.root, *home.root.rglob("*")] if folder.is_dir()]
        objects = [file for file in (home.data / "s3").rglob("*") if file.is_file()]

        assert [path for path in [*folders, *objects] if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
        assert len(folders) > 10

    async def test_what_an_earlier_version_left_open_is_closed_at_the_next_start(
        self, photos: Photos, key: str
    ) -> None:
        """A bucket that others may read, and an object that was published."""
        server = photos.stack.server("s3")
        photos.put(key, BODY)
        bucket = server.data_dir / MEDIA_BUCKET
        server.stop()
        (bucket / key).chmod(0o644)
        for folder in (photos.stack.home.data, server.data_dir, bucket, bucket / "renditions"):
            folder.chmod(0o755)

        server.start()
        server.wait_ready()

        direct = Store(photos, "s3_store")
        answers = [
            await direct.ask("GET", target) for target in (f"/{MEDIA_BUCKET}", f"/{MEDIA_BUCKET}/{key}")
        ]
        assert [answer.status for answer in answers] == [403, 403]
        self.test_nobody_else_can_enter_the_folders_of_the_stack(photos, f"{key}.again")
