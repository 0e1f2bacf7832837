"""Shared by all tests: asyncio as the event loop, hypothesis without deadlines, and the size of the stack."""

import pytest
from hypothesis import settings

from infra.local.layout import NODES_ALLOWED

# bench/ measures time. A test never asserts it, because a busy machine would miss a deadline.
settings.register_profile("thorough", deadline=None)
# For the fast loop: `--hypothesis-profile=quick`.
settings.register_profile("quick", deadline=None, max_examples=15)
settings.load_profile("thorough")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nodes",
        type=int,
        choices=NODES_ALLOWED,
        default=1,
        help="how many nodes of Kafka, Cassandra and Redis the integration tests have",
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every test that is a coroutine."""
    return "asyncio"
