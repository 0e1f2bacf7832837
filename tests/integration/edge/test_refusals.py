"""Which requests the edge refuses: every request without a valid signature by one of two keys."""

import asyncio
from contextlib import closing
from http.client import HTTPConnection
from threading import Event

import pytest
from botocore.exceptions import ClientError

from bench.traffic.waiting import eventually
from infra.local.credentials import load_or_make
from infra.local.servers.s3 import MEDIA_BUCKET
from tests.integration.edge.photos import (
    Photos,
    clock_reaches,
    s3_client,
)
from tests.integration.plain_http import DEADLINE_S, ask


class TestRefusals:
    @pytest.mark.law("L12")
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PURGE", "OPTIONS", "TRACE"])
    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "/KEY",
            "/healthz/",
            "/metrics",
            "/purge",
            "/objects/KEY",
            "/refused",
            "/%00",
            "/..",
            "/%zz",
            "*",
        ],
    )
    async def test_nothing_is_there_without_a_signature(
        self, photos: Photos, key: str, method: str, target: str
    ) -> None:
        """Whether an object exists is nobody's business either, and the secret of the edges opens nothing."""
        photos.put(key, b"bytes")
        secret = load_or_make(photos.stack.home.secrets).edge_secret

        answer = await ask(
            photos.edges[0], target.replace("KEY", key), method, headers={"X-Shutterline-Edge": secret}
        )

        assert answer.status == 403

    @pytest.mark.parametrize(
        ("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 403), ("DELETE", 403)]
    )
    async def test_health_is_open_to_readers(self, photos: Photos, method: str, status: int) -> None:
        """`/healthz` is the only path that needs no signature."""
        assert (await ask(photos.edges[0], "/healthz", method)).status == status

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    async def test_a_signature_is_for_reading(self, photos: Photos, key: str, method: str) -> None:
        """A signature is valid for GET and HEAD only. All other methods are refused."""
        photos.put(key, b"bytes")

        assert (await ask(photos.edges[0], await photos.sign(key), method)).status == 403

    @pytest.mark.law("L12")
    async def test_a_url_is_good_for_what_was_signed_alone(self, photos: Photos, key: str) -> None:
        """Every change of it is refused, on an object that is there and cached."""
        photos.put(key, b"bytes")
        other = photos.put(f"{key}.other", b"other")
        good = await photos.sign(key)
        path, _, query = good.partition("?")
        expires, signature, key_id = query.split("&")
        flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
        later = f"Expires={int(expires.removeprefix('Expires=')) + 1}"
        forged = {
            "another path": f"/{other}?{query}",
            "a path spelt otherwise": f"{path.replace('r', '%72', 1)}?{query}",
            "a longer life": f"{path}?{later}&{signature}&{key_id}",
            "another signature": f"{path}?{expires}&{flipped}&{key_id}",
            "an empty signature": f"{path}?{expires}&Signature=&{key_id}",
            "an unknown key": f"{path}?{expires}&{signature}&Key-Pair-Id=KNOWN",
            "a key that objects have": f"{path}?{expires}&{signature}&Key-Pair-Id=constructor",
            "no expiry": f"{path}?{signature}&{key_id}",
            "no signature": f"{path}?{expires}&{key_id}",
            "no key": f"{path}?{expires}&{signature}",
            "a policy instead": f"{path}?Policy=e30_&{signature}&{key_id}",
            "a policy too": f"{good}&Policy=e30_",
            "something more": f"{good}&x=1",
            "something empty": f"{good}&",
            "an expiry twice": f"{path}?{expires}&{query}",
            "a signature twice": f"{good}&{signature}",
            "a second question mark": f"{good}?",
            "another letter case": good.replace("Expires", "expires"),
            "an expiry in words": f"{path}?Expires=1e12&{signature}&{key_id}",
        }
        assert (await ask(photos.edges[0], good)).status == 200

        answers = {name: (await ask(photos.edges[0], target)).status for name, target in forged.items()}

        assert answers == dict.fromkeys(forged, 403)

    async def test_a_url_expires(self, photos: Photos, key: str) -> None:
        """From the second in `Expires` on, the URL is refused, even though the edge has the object
        in its cache."""
        photos.put(key, b"bytes")
        target = await photos.sign(key, life_s=2)
        expires_s = int(target.partition("Expires=")[2].partition("&")[0])
        fresh = await ask(photos.edges[0], target)
        await eventually("it has expired", clock_reaches(expires_s))

        assert (fresh.status, (await ask(photos.edges[0], target)).status) == (200, 403)

    async def test_the_host_header_has_no_say(self, photos: Photos, key: str) -> None:
        """A signature covers the site's address. If the URL was signed for another site, a matching
        `Host` header does not make it valid."""
        photos.put(key, b"bytes")
        elsewhere = await photos.sign(key, base="http://elsewhere.example")

        assert (await ask(photos.edges[0], elsewhere, headers={"Host": "elsewhere.example"})).status == 403
        assert (await photos.view(key, headers={"Host": "elsewhere.example"})).status == 200

    async def test_a_refusal_costs_no_fetch_and_is_counted(self, photos: Photos, key: str) -> None:
        """A client that guesses URLs causes no request to S3."""
        refused = await photos.metric("edge", 'shutterline_edge_requests_total{role="edge",result="refused"}')
        before = await photos.fetches()

        await asyncio.gather(*(ask(photos.edges[0], f"/{key}?Expires=9") for _ in range(20)))

        again = await photos.metric("edge", 'shutterline_edge_requests_total{role="edge",result="refused"}')
        assert (again - refused, await photos.fetches()) == (20, before)

    async def test_the_shield_answers_edges_alone(self, photos: Photos, key: str) -> None:
        """The shield checks no signatures, so it refuses every request without the edges'
        secret."""
        photos.put(key, b"bytes")
        secret = load_or_make(photos.stack.home.secrets).edge_secret
        port = photos.stack.server("shield").port

        assert (await ask(port, f"/{key}")).status == 403
        assert (await ask(port, f"/{key}", headers={"X-Shutterline-Edge": secret[:-1]})).status == 403
        assert (await ask(port, "/", headers={"X-Shutterline-Edge": secret})).status == 403
        assert (await ask(port, "/a/../b", headers={"X-Shutterline-Edge": secret})).status == 403
        assert (await ask(port, f"/{key}", headers={"X-Shutterline-Edge": secret})).body == b"bytes"

    @pytest.mark.law("L12")
    async def test_the_shields_key_can_only_read(self, photos: Photos, key: str) -> None:
        """What an intruder there could do is what everybody's photos cost anyway."""
        photos.put(key, b"bytes")
        credentials = load_or_make(photos.stack.home.secrets)
        client = s3_client(photos.stack, credentials.s3_read_access_key, credentials.s3_read_secret_key)
        with client.get_object(Bucket=MEDIA_BUCKET, Key=key)["Body"] as body:
            read = body.read()
        with pytest.raises(ClientError):
            client.put_object(Bucket=MEDIA_BUCKET, Key=key, Body=b"other")
        with pytest.raises(ClientError):
            client.delete_object(Bucket=MEDIA_BUCKET, Key=key)
        client.close()

        assert read == b"bytes"
        assert (await photos.view(key)).body == b"bytes"


class TestKeys:
    async def test_two_keys_are_valid_at_a_time_and_no_request_is_lost_in_between(
        self, photos: Photos, key: str
    ) -> None:
        """The newest key signs. URLs of the key before it stay valid until the next rotation and
        are refused after it. No request fails during a rotation."""
        photos.put(key, b"bytes")
        first = load_or_make(photos.stack.home.secrets).media_keys[0]
        of_first = await photos.sign(key, signed_with=first)
        statuses: list[int] = []
        rotated = Event()

        async def viewer(edge: int) -> None:
            while not rotated.is_set():
                statuses.append((await ask(photos.edges[edge], of_first)).status)

        def keeping_viewer(edge: int) -> None:
            with closing(HTTPConnection("127.0.0.1", photos.edges[edge], timeout=DEADLINE_S)) as connection:
                while not rotated.is_set():
                    connection.request("GET", of_first)
                    response = connection.getresponse()
                    response.read()
                    statuses.append(response.status)

        viewers = [asyncio.create_task(viewer(number % 2)) for number in range(8)]
        viewers += [asyncio.create_task(asyncio.to_thread(keeping_viewer, edge)) for edge in (0, 1)]
        second = await asyncio.to_thread(photos.stack.rotate_media_key)
        rotated.set()
        await asyncio.gather(*viewers)
        of_second = await photos.sign(key, signed_with=second)
        after_one = [(await ask(edge, url)).status for edge in photos.edges for url in (of_first, of_second)]
        await asyncio.to_thread(photos.stack.rotate_media_key)
        after_two = [(await ask(edge, url)).status for edge in photos.edges for url in (of_first, of_second)]

        assert set(statuses) == {200}
        assert len(statuses) > 8
        assert after_one == [200, 200, 200, 200]
        assert after_two == [403, 200, 403, 200]
        written = photos.stack.home.environment_file.read_text()
        assert (
            f"SHUTTERLINE_MEDIA_KEY_ID={load_or_make(photos.stack.home.secrets).media_keys[0].key_id}\n"
            in written
        )
