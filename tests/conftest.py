"""Shared by all tests: asyncio as the event loop, and hypothesis without deadlines."""

import pytest
from hypothesis import settings

# bench/ measures time. A test never asserts it, because a busy machine would miss a deadline.
settings.register_profile("thorough", deadline=None)
# For the fast loop: `--hypothesis-profile=quick`.
settings.register_profile("quick", deadline=None, max_examples=15)
settings.load_profile("thorough")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every test that is a coroutine."""
    return "asyncio"
