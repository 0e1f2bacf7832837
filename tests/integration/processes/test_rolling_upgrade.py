"""The last release and this version run side by side, as in a rolling upgrade and in its return."""

import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest

from bench.traffic.posting import Posting, everybody_follows_everybody
from bench.traffic.readers import client_of, feed_of
from bench.traffic.removing import Removing
from bench.traffic.requests import Requests
from bench.traffic.writing import Writing
from infra.local.deployment import Deployment
from infra.local.paths import PROJECT
from infra.local.stack import Stack
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import FeedClient

LAST_RELEASE = Path(__file__).with_name("last_release.txt")  # Its commit.
PAGE_PHOTOS = 20


@pytest.fixture(scope="module")
def last_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the last release."""
    commit = LAST_RELEASE.read_text().strip()
    archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"git has no files of {commit}, the last release: {archive.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("last_release")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
def versions(stack: Stack, last_release: Path) -> Iterator[tuple[Deployment, Deployment]]:
    """One pipeline, as processes of the last release and as those of this version; nothing runs."""
    namespace = f"t{uuid4().hex[:8]}."
    before, after = Deployment(stack, namespace, folder=last_release), Deployment(stack, namespace)
    after.prepare()
    yield before, after
    before.stop()
    after.stop()


def start(deployment: Deployment, number: int) -> None:
    deployment.start_worker(f"worker-{number}")
    deployment.start_api(f"api-{number}")


async def assert_cursors_are_shared(client: FeedClient, other: FeedClient, reader: UserId) -> None:
    """The second page is the same from both, after the cursor of either."""
    for one in (client, other):
        first = await one.page(reader, limit=PAGE_PHOTOS)
        pages = [
            await each.page(reader, limit=PAGE_PHOTOS, cursor=first.next_cursor) for each in (one, other)
        ]
        assert pages[0].items
        assert [item["photo_id"] for item in pages[0].items] == [item["photo_id"] for item in pages[1].items]


async def feeds(client: FeedClient, readers: Sequence[UserId]) -> dict[UserId, list[PhotoId]]:
    return {reader: await feed_of(client, reader) for reader in readers}


@pytest.mark.law("L1")
async def test_an_upgrade_and_its_return_lose_nothing(versions: tuple[Deployment, Deployment]) -> None:
    """Events and requests all the time: the last release alone, both, this version alone, both, and back."""
    before, after = versions
    start(before, 1)
    readers, authors = await everybody_follows_everybody(after)
    async with client_of(before) as old, client_of(after) as new:
        await feeds(old, readers[::2])  # The others stay cold until the end.
        posting = Posting(after, authors)
        await posting.until(50)
        start(after, 2)
        of_old = Writing(Requests(old), posting)
        await posting.until(50)
        of_new = Writing(Requests(new), posting)
        removing = Removing(Requests(new), posting)
        await posting.until(50)
        await assert_cursors_are_shared(old, new, readers[0])
        assert before.metric("shutterline_deliveries_total", "worker-1") > 0
        assert after.metric("shutterline_deliveries_total", "worker-2") > 0
        await of_old.stop()
        before.stop()
        await posting.until(50)
        start(before, 3)
        await posting.until(50)
        await of_new.stop()
        await removing.stop()
        after.stop()
        await posting.until(50)
        await posting.stop()
        await before.drained()
        seen_by_old = await feeds(old, readers)
        start(after, 4)
        seen_by_new = await feeds(new, readers)
        await of_old.check()
        await of_new.check()

    expected = sorted({*posting.photos} - {*removing.deleted}, reverse=True)
    assert seen_by_old == dict.fromkeys(readers, expected)
    assert seen_by_new == seen_by_old
