"""What the OpenAPI document allows is answered as it says, and what it forbids is refused."""

import asyncio
import subprocess
import sys
from pathlib import Path
from string import Template

import httpx

from api.http.cursors import CursorKind, encode_cursor
from bench.traffic.events import follows, fresh_photo_ids, fresh_users, upload
from infra.local.deployment import Deployment
from schemas.ids import ID_MAX, UserId
from shutterline.tokens import mint_token
from tests.integration.conftest import DeploymentFactory

CALLER = UserId(2**62)
SEED = 20_261_129
EXAMPLES = 12  # Of each operation. With 25 there were a third more requests and no more findings.
SECONDS_MAX = 240
# So high that the caller's own rates are not what is tested.
RATE = 100_000
# So long that a busy machine is no reason for a 503, which is a failure here.
TIMEOUT_MS = 10_000


def test_every_route_complies_with_the_openapi_document(system: DeploymentFactory, tmp_path: Path) -> None:
    """All checks of schemathesis, with a fixed seed; `schemathesis.toml` says what it cannot judge."""
    deployment = system(
        ops_open=0,
        reads_per_s=RATE,
        reads_burst=RATE,
        writes_per_s=RATE,
        writes_burst=RATE,
        uploads_per_minute=RATE,
        store_timeout_ms=TIMEOUT_MS,
        media_look_timeout_ms=TIMEOUT_MS,
        request_deadline_ms=3 * TIMEOUT_MS,
    )
    deployment.start_monitor()  # Otherwise its route would only ever refuse.
    token = mint_token(deployment.settings, CALLER, roles=["ops"])
    asyncio.run(_publish_photos(deployment))
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(_configuration(_begin_upload(deployment, token)))

    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(configuration)),
            *("run", f"{deployment.settings.api}/openapi.json", "--no-color"),
            # Without --checks, which are all: `--checks all` would enable what the configuration disables.
            *("--seed", str(SEED), "--max-examples", str(EXAMPLES)),
            *("--generation-database", "none"),
            # In lower case, because schemathesis does not look for the user's id in such a token:
            # otherwise it uses that id nearly everywhere, and follows nobody but the caller.
            *("--header", f"Authorization: bearer {token}"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout


async def _publish_photos(deployment: Deployment) -> None:
    """Give the caller followers and followees with photos, so that responses are not empty."""
    others = fresh_users(5)
    edges = [(CALLER, other) for other in others] + [(other, CALLER) for other in others]
    photos = zip(fresh_photo_ids(len(others)), others, strict=True)
    await deployment.publish(
        [*follows(deployment, edges), *(upload(deployment, photo, author) for photo, author in photos)]
    )
    await deployment.drained()


def _begin_upload(deployment: Deployment, token: str) -> str:
    """Return the id of a photo of the caller whose bytes have not arrived."""
    response = httpx.post(
        f"{deployment.settings.api}/v1/photos",
        headers={"Authorization": f"Bearer {token}"},
        json={"content_type": "image/jpeg", "bytes": 1},
        timeout=10,
    )
    return str(response.raise_for_status().json()["photo_id"])


def _configuration(unfinished_upload: str) -> str:
    template = Template(Path(__file__).with_name("schemathesis.toml").read_text())
    return template.substitute(
        feed_cursor=encode_cursor(CursorKind.FEED, ID_MAX),
        user_photos_cursor=encode_cursor(CursorKind.USER_PHOTOS, ID_MAX),
        following_cursor=encode_cursor(CursorKind.FOLLOWING, 1),
        followers_cursor=encode_cursor(CursorKind.FOLLOWERS, 0, 0, 1),
        unfinished_upload=unfinished_upload,
    )
