"""The real servers of a test run, and systems of their own on them.

`make test` downloads what they need first; by hand: `make servers`, then
`python -m pytest tests/integration`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from infra.local.deployment import Deployment
from infra.local.errors import StackError
from infra.local.paths import Home
from infra.local.processes.lock import exclusive
from infra.local.stack import Stack

# Another folder lets two runs go on side by side; each of several pytest workers has its own.
HOME = Path(os.environ.get("SHUTTERLINE_TEST_HOME", ".local/test")) / os.environ.get(
    "PYTEST_XDIST_WORKER", ""
)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One stack for the whole run; it ends with it, however that ends."""
    with exclusive(Home(HOME.resolve()).root, print):
        made = Stack(HOME, dies_with_parent=True)
        made.clean()
        try:
            made.start_servers()
        except StackError as error:
            pytest.exit(f"{error}; `make test` does all of it", returncode=1)
        yield made
        made.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap(stack: Stack) -> str:
    return stack.environment()["SHUTTERLINE_KAFKA"]


DeploymentFactory = Callable[..., Deployment]


@contextmanager
def _deployments(stack: Stack) -> Iterator[DeploymentFactory]:
    made: list[Deployment] = []

    def make(**settings: object) -> Deployment:
        environment = {f"SHUTTERLINE_{name.upper()}": str(value) for name, value in settings.items()}
        deployment = Deployment(stack, f"t{uuid4().hex[:8]}.", environment)
        made.append(deployment)
        deployment.prepare()
        return deployment

    yield make
    for deployment in made:
        deployment.stop()


@pytest.fixture
def deploy(stack: Stack) -> Iterator[DeploymentFactory]:
    """Make a deployment with a namespace of its own; settings by name. Its processes end with the test."""
    with _deployments(stack) as make:
        yield make


@pytest.fixture
def system(deploy: DeploymentFactory) -> DeploymentFactory:
    """A deployment that runs: one worker and the API; settings by name."""

    def start(**settings: object) -> Deployment:
        deployment = deploy(**settings)
        deployment.start_all()
        return deployment

    return start


@pytest.fixture(scope="module")
def shared(stack: Stack) -> Iterator[Deployment]:
    """One that runs with the settings as they are, for all tests of a file: each has users of its own."""
    with _deployments(stack) as make:
        deployment = make()
        deployment.start_all()
        yield deployment
