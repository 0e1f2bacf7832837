"""A rotation of the key that signs photo URLs: two API processes and a CDN edge, none of which restarts."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx

from bench.traffic.events import fresh_photo_ids
from bench.traffic.waiting import eventually
from infra.local import ports
from infra.local.credentials import load_or_make
from infra.local.deployment import Deployment
from schemas.facts import PhotoUploaded, Rendition
from schemas.ids import PhotoId, UserId
from shutterline.tokens import mint_token
from streams.ports.groups import Stores
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory

ME = UserId(1)
# A refresh takes 2 s.
EFFECT_S_MAX = 10.0


async def _post(deployment: Deployment, stores: Stores, photo: PhotoId) -> None:
    """Publish a photo whose thumbnail is in the bucket."""
    key = f"test/{photo}"
    await stores.media_objects.put(key, b"bytes", content_type="image/jpeg")
    thumbnail = Rendition(object_key=key, width=1, height=1)
    data = PhotoUploaded(
        photo_id=photo,
        author_id=ME,
        object_key=f"{key}.jpg",
        content_type="image/jpeg",
        created_at=datetime.now(UTC),
        renditions={"thumbnail": thumbnail},
    )
    await deployment.publish([deployment.outgoing(data)])


class _Viewer:
    """Reads a photo's URL from both APIs and fetches it from the edge."""

    def __init__(self, http: httpx.AsyncClient, apis: list[str]) -> None:
        self._http = http
        self._apis = apis

    async def urls(self, photo: PhotoId) -> list[str]:
        """Return the URL of the thumbnail at each API, which is empty until there is one."""
        photos = [(await self._http.get(f"{api}/v1/photos/{photo}")).json() for api in self._apis]
        return [shown.get("renditions", {}).get("thumbnail", {}).get("url", "") for shown in photos]

    async def key_ids(self, photo: PhotoId) -> set[str]:
        """Return the ids of the keys that signed the URLs at the APIs; all URLs must be valid."""
        urls = await self.urls(photo)
        assert {200} == {
            (await self._http.get(url, headers={"Authorization": ""})).status_code for url in urls
        }
        return {parse_qs(urlsplit(url).query)["Key-Pair-Id"][0] for url in urls}

    async def watch(self, photo: PhotoId) -> None:
        """Fetch the photo again and again. Runs until cancelled."""
        while True:
            await self.key_ids(photo)


async def test_apis_sign_with_a_rotated_key_within_seconds(deploy: DeploymentFactory) -> None:
    """After one rotation new URLs are of the new key, and those of the previous key stay valid. After the
    second one, no API gives out a URL of the first key, which the edge refuses. No fetch fails."""
    deployment = deploy()
    other = f"http://127.0.0.1:{ports.unused(())}"
    await asyncio.to_thread(deployment.start_all)
    await asyncio.to_thread(deployment.start_api, "api-2", SHUTTERLINE_API=other)
    stack, secrets = deployment.stack, deployment.stack.home.secrets
    headers = {"Authorization": f"Bearer {mint_token(deployment.settings, ME)}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=10) as http,
        connect(deployment.settings, timeout_ms=10_000) as stores,
    ):
        viewer = _Viewer(http, [deployment.settings.api, other])
        old, *new = fresh_photo_ids(200)

        async def all_listen() -> bool:
            with suppress(httpx.ConnectError):
                return (await http.get(f"{other}/readyz")).status_code == 200
            return False

        async def shown(photo: PhotoId) -> bool:
            return all(await viewer.urls(photo))

        async def signs(photo: PhotoId, key_id: str) -> bool:
            return await viewer.key_ids(photo) == {key_id}

        await eventually("the second API is ready", all_listen)
        await _post(deployment, stores, old)
        await eventually("the photo is shown", lambda: shown(old))
        first = load_or_make(secrets).media_keys[0]
        assert await viewer.key_ids(old) == {first.key_id}

        watching = asyncio.create_task(viewer.watch(old))
        second = await asyncio.to_thread(stack.rotate_media_key)
        posted = iter(new)

        async def new_photos_have(key_id: str) -> bool:
            photo = next(posted)
            await _post(deployment, stores, photo)
            await eventually("the photo is shown", lambda: shown(photo))
            return await signs(photo, key_id)

        took_s = await eventually(
            "both sign", lambda: new_photos_have(second.key_id), deadline_s=EFFECT_S_MAX
        )
        print(f"both APIs sign with the new key after {took_s:.1f} s")
        assert await viewer.key_ids(old) == {first.key_id}
        assert not watching.done()
        watching.cancel()

        third = await asyncio.to_thread(stack.rotate_media_key)
        assert second.key_id in [key.key_id for key in load_or_make(secrets).media_keys]

        async def none_of_first() -> bool:
            key_ids = [parse_qs(urlsplit(url).query)["Key-Pair-Id"][0] for url in await viewer.urls(old)]
            return first.key_id not in key_ids

        took_s = await eventually("the first key is withdrawn", none_of_first, deadline_s=EFFECT_S_MAX)
        print(f"no API gives out the first key's URLs after {took_s:.1f} s")
        assert await viewer.key_ids(old) == {third.key_id}
