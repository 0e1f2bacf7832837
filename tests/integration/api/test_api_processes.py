"""Several processes of a real API behind one port."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from select import select
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest

from bench.traffic.waiting import wait_until
from infra.local.deployment import Deployment
from infra.local.servers.probes import http_responds
from infra.local.stack import Stack
from schemas.ids import UserId
from shutterline.tokens import mint_token

COUNT = 2
MEMBERS = [f"api-{number}" for number in range(1, COUNT + 1)]
USER = "/v1/users/1"
BURST = 100
# A process reports to the shared bucket after each tenth of a burst, see `api/http/rate_limiter.py`.
UNREPORTED = COUNT * BURST // 10
CONNECTIONS = 40


@pytest.fixture(scope="module")
def prepared(stack: Stack) -> Deployment:
    made = Deployment(
        stack,
        f"t{uuid4().hex[:8]}.",
        {
            "SHUTTERLINE_READS_PER_S": "1",
            "SHUTTERLINE_READS_BURST": str(BURST),
            "SHUTTERLINE_RATE_REFUSAL_DELAY_MS": "0",
        },
    )
    made.prepare()
    return made


@pytest.fixture
def deployment(prepared: Deployment) -> Iterator[Deployment]:
    """Nothing runs."""
    yield prepared
    prepared.stop()


def _started(deployment: Deployment, **environment: str) -> list[psutil.Process]:
    """Start the API; returns its processes, of which the first is the parent, when all of them are ready."""
    parent = psutil.Process(deployment.start_api(processes=COUNT, **environment).pid)
    for member in MEMBERS:
        wait_until(f"{member} is ready", partial(_is_ready, deployment, member))
    return [parent, *parent.children(recursive=True)]


def _is_ready(deployment: Deployment, member: str) -> bool:
    """The file with its address may not be written yet, or be that of a process that was killed."""
    address = deployment.stack.process(f"{deployment.namespace}{member}").metrics_address
    return address is not None and http_responds(address, "/readyz")


def _statuses(deployment: Deployment, user: int, requests: int) -> list[int]:
    """Send requests of the user one after the other, each on a new connection."""
    headers = {
        "Authorization": f"Bearer {mint_token(deployment.settings, UserId(user))}",
        "Connection": "close",
    }
    with httpx.Client(base_url=deployment.settings.api, headers=headers, timeout=10) as client:
        return [client.get(USER).status_code for _ in range(requests)]


def test_processes_share_a_port_the_rates_and_nothing_of_their_metrics(deployment: Deployment) -> None:
    """Each serves some of the connections and has metrics of its own; the rate of a user holds over all."""
    _started(deployment)

    statuses = _statuses(deployment, 1, 2 * BURST)

    name = 'shutterline_http_requests_total{method="GET",route="/v1/users/{user_id}"'
    served = [deployment.metric(name, member) for member in MEMBERS]
    assert set(statuses) == {200, 429}
    assert sum(served) == statuses.count(200)  # A request above its rate has no route.
    assert min(served) > 0
    # While the requests are sent, a second or two refill the bucket.
    assert BURST <= statuses.count(200) <= BURST + UNREPORTED + 20


def test_the_bound_of_connections_holds_over_all(deployment: Deployment) -> None:
    """One address may have as many as with one process; all others are refused."""
    environment = {
        "SHUTTERLINE_CONNECTIONS_PER_ADDRESS_MAX": str(CONNECTIONS),
        "SHUTTERLINE_CONNECTIONS_UNCOUNTED": "",
    }
    _started(deployment, **environment)
    api = urlsplit(deployment.settings.api)

    with ExitStack() as closing:
        connections = [
            closing.enter_context(socket.create_connection((api.hostname, api.port), timeout=10))
            for _ in range(5 * CONNECTIONS)
        ]
        refused: set[socket.socket] = set()

        def all_others_are_refused() -> bool:
            readable = select(connections, (), (), 0)[0]
            refused.update(one for one in readable if one.recv(1_024).startswith(b"HTTP/1.1 429"))
            return len(refused) >= 4 * CONNECTIONS

        wait_until("all others are refused", all_others_are_refused)
        assert len(refused) == 4 * CONNECTIONS


@pytest.mark.parametrize(
    ("number", "victim"), [(signal.SIGTERM, 0), (signal.SIGKILL, 0), (signal.SIGKILL, -1)]
)
def test_all_end_with_the_first_that_ends(deployment: Deployment, number: int, victim: int) -> None:
    """Whether the parent is stopped or killed, or another one is. The port is free afterwards."""
    processes = _started(deployment)
    assert len(processes) > COUNT

    processes[victim].send_signal(number)

    wait_until("all have ended", lambda: not any(_runs(process) for process in processes))
    assert not http_responds(urlsplit(deployment.settings.api).netloc, "/healthz")


def _runs(process: psutil.Process) -> bool:
    """Whether it still runs; this test's own process may not have waited for one that ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
