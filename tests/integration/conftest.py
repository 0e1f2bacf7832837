"""The real servers of a test run, and the deployments of the tests on them.

`make test` downloads the servers first. To run only these tests, run `make servers`, then
`python -m pytest tests/integration`.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from infra.local import ports
from infra.local.deployment import Deployment
from infra.local.errors import StackError
from infra.local.layout import Layout
from infra.local.paths import Home
from infra.local.processes.lock import exclusive
from infra.local.stack import Stack
from streams.settings import Settings
from streams.stores.cassandra.session import make_cluster
from tests.contract.passing_time import RealTime

# With another folder, a second run can use its own servers at the same time. Each of several pytest
# workers has its own folder.
HOME = Path(os.environ.get("SHUTTERLINE_TEST_HOME", ".local/test")) / os.environ.get(
    "PYTEST_XDIST_WORKER", ""
)
NODES_TESTS = Path(__file__).parent / "nodes"

# The workers of a run choose ports for their servers at the same moments, so each chooses from a range of
# its own: of 12 ports in 10,000 that two choose at random, one is the same once in 70 runs.
WORKERS_MAX = 8
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS_MAX
_PORTS = (ports.LAST + 1 - ports.FIRST) // WORKERS_MAX
ports.FIRST += _WORKER * _PORTS
ports.LAST = ports.FIRST + _PORTS - 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests of several nodes run only on several nodes."""
    return True if collection_path == NODES_TESTS and config.getoption("nodes") == 1 else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two workers end at about the same time if the last files have many short tests: these come last."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        tests_of = Counter(item.path for item in items)
        items.sort(key=lambda item: tests_of[item.path])


@pytest.fixture(scope="session")
def run_stack(started: list[Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """One stack for the whole run. Its servers end with the run, also if the run is killed."""
    layout = Layout(pytestconfig.getoption("nodes"))
    home = HOME if layout.nodes == 1 else HOME / f"nodes-{layout.nodes}"
    with exclusive(Home(home.resolve()).root, print):
        made = Stack(home, layout=layout, dies_with_parent=True)
        made.clean()
        try:
            made.start_servers()
        except StackError as error:
            pytest.exit(f"{error}; `make test` does all of it", returncode=1)
        started.append(made)
        yield made
        made.stop()


@pytest.fixture(scope="session")
def stack(run_stack: Stack) -> Stack:
    """The stack of the run; files whose tests change a stack have one of their own in its place."""
    return run_stack


@pytest.fixture(scope="session")
def started() -> list[Stack]:
    """The stack of this run, once a test has needed it."""
    return []


@pytest.fixture(scope="module", autouse=True)
def forgotten_keyspaces(started: list[Stack]) -> Iterator[None]:
    """At the end of each file, drop the keyspaces that it made. Cassandra keeps something of every table in
    its heap, and those of a whole run would fill it."""
    yield
    for stack in started:
        _drop_keyspaces(stack)


def _drop_keyspaces(stack: Stack) -> None:
    settings = Settings(cassandra=stack.environment()["SHUTTERLINE_CASSANDRA"])
    cluster = make_cluster(settings, timeout_s=60.0)
    cluster.schema_metadata_enabled = False  # It would be read again after each of the keyspaces.
    try:
        session = cluster.connect()
        cluster.max_schema_agreement_wait = 0  # It would wait for gossip, a second for each.
        for (keyspace,) in session.execute("SELECT keyspace_name FROM system_schema.keyspaces"):
            if keyspace.startswith(settings.keyspace):
                session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
    finally:
        cluster.shutdown()


@pytest.fixture
def passing() -> RealTime:
    """For the contract suites: time passes by itself."""
    return RealTime()


@pytest.fixture
def new_id() -> Callable[[], int]:
    """For the contract suites: ids that no other test uses."""
    return count(random.randrange(1, 2**62)).__next__


@pytest.fixture(scope="session")
def kafka_bootstrap(stack: Stack) -> str:
    return stack.environment()["SHUTTERLINE_KAFKA"]


DeploymentFactory = Callable[..., Deployment]


@contextmanager
def deployments(stack: Stack) -> Iterator[DeploymentFactory]:
    """Makes deployments, whose processes end with the context."""
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
    """Makes deployments, each with its own namespace; settings by name. Their processes end with
    the test."""
    with deployments(stack) as make:
        yield make


@pytest.fixture
def system(deploy: DeploymentFactory) -> DeploymentFactory:
    """Makes a running deployment, with one worker and the API; settings by name."""

    def start(**settings: object) -> Deployment:
        deployment = deploy(**settings)
        deployment.start_all()
        return deployment

    return start


@pytest.fixture(scope="module")
def shared(stack: Stack) -> Iterator[Deployment]:
    """One running deployment with default settings for all tests of a file. Each test uses its own
    users."""
    with deployments(stack) as make:
        deployment = make()
        deployment.start_all()
        yield deployment
