"""Shared by all tests: one event loop, and no deadline that a busy machine could miss."""

import pytest
from hypothesis import settings

# Time is measured by bench/, never asserted by a test.
settings.register_profile("thorough", deadline=None)
# For the fast loop: `--hypothesis-profile=quick`.
settings.register_profile("quick", deadline=None, max_examples=15)
settings.load_profile("thorough")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every test that is a coroutine."""
    return "asyncio"
