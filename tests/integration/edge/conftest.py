"""The tests of the edge kill and pause servers, so they use a separate stack: S3 with its gate, the
shield and two edges."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from infra.local.credentials import load_or_make
from infra.local.stack import Stack
from tests.integration.edge.photos import Photos, s3_client


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("edge"), dies_with_parent=True)
    made.choose_ports()
    for name in ("s3", "s3_gate", "shield", "edge"):
        made.server(name).start()
    for name in ("s3", "s3_gate", "shield", "edge"):
        made.server(name).wait_ready()
    made.start_edge("edge-2")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def photos(stack: Stack) -> Iterator[Photos]:
    credentials = load_or_make(stack.home.secrets)
    client = s3_client(stack, credentials.s3_access_key, credentials.s3_secret_key)
    yield Photos(stack, client)
    client.close()


@pytest.fixture
def key() -> str:
    """An object key that no other test uses."""
    return f"renditions/{uuid4().hex}/thumbnail.jpg"
