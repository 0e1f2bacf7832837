"""Processes whose stores are away: they listen, say what is missing, log little, and end on SIGTERM."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.traffic.waiting import eventually
from infra.local import ports
from infra.local.servers.probes import process_responds
from infra.local.stack import Stack
from tests.integration.conftest import DeploymentFactory
from tests.worlds.api import media_key

STOP_S_MAX = 10.0
SECRET = "a secret of more than thirty-two bytes"


@pytest.fixture
def nowhere(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process all of whose stores are at ports where nothing listens."""
    used: list[int] = []
    for _ in range(5):
        used.append(ports.unused(used))
    kafka, cassandra, redis, s3, api = used
    key = tmp_path / "media.pem"
    key.write_bytes(media_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return {
        "SHUTTERLINE_KAFKA": f"127.0.0.1:{kafka}",
        "SHUTTERLINE_CASSANDRA": f"127.0.0.1:{cassandra}",
        "SHUTTERLINE_REDIS": f"redis://127.0.0.1:{redis}",
        "SHUTTERLINE_S3": f"http://127.0.0.1:{s3}",
        "SHUTTERLINE_S3_ACCESS_KEY": "key",
        "SHUTTERLINE_S3_SECRET_KEY": "secret",
        "SHUTTERLINE_API": f"http://127.0.0.1:{api}",
        "SHUTTERLINE_JWT_SECRET": SECRET,
        "SHUTTERLINE_MEDIA_PRIVATE_KEY": str(key),
        "SHUTTERLINE_RUN_DIR": str(tmp_path),
        "SHUTTERLINE_PROCESS": "alone",
    }


@contextmanager
def running(command: str, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "shutterline", command],
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def answer(address: str, path: str) -> httpx.Response | None:
    async with httpx.AsyncClient(base_url=address, timeout=5.0) as client:
        try:
            return await client.get(path)
        except httpx.TransportError:
            return None


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_a_process_without_stores_listens_and_ends(
    command: str, nowhere: Mapping[str, str], tmp_path: Path
) -> None:
    """/healthz is 200, /readyz names what is missing, each try is one line, and SIGTERM ends it."""
    log = tmp_path / "log"
    with running(command, nowhere, log) as process:

        async def address() -> str:
            if command == "api":
                return nowhere["SHUTTERLINE_API"]
            file = tmp_path / "alone.metrics"
            return f"http://{file.read_text().strip()}" if file.exists() else "http://127.0.0.1:1"

        async def alive() -> bool:
            response = await answer(await address(), "/healthz")
            return response is not None and response.status_code == 200

        await eventually("the process listens", alive)
        ready = await answer(await address(), "/readyz")
        await eventually("three tries", lambda: log.read_text().count("still starting") >= 3)
        process.send_signal(signal.SIGTERM)
        status = process.wait(STOP_S_MAX)

    assert ready is not None
    assert ready.status_code == 503
    missing = ("cassandra", "redis", "s3", "kafka") if command == "api" else ("cassandra",)
    assert all(store in ready.text for store in missing)
    assert status == 0
    # Without the access log, which has a sample of the requests.
    lines = [line for line in log.read_text().splitlines() if json.loads(line)["logger"] != "access"]
    tries = [line for line in lines if "still starting" in line]
    # Besides, the probes of /readyz name each store once.
    assert len(lines) <= len(tries) + 2 * 4, lines


@pytest.mark.parametrize("store", ["kafka", "cassandra"])
async def test_sigterm_ends_processes_whose_store_hangs(
    stack: Stack, deploy: DeploymentFactory, store: str
) -> None:
    """The store accepts connections and never replies. One worker was handling records before; the other
    one and the API are starting."""
    deployment, server = deploy(), stack.server(store)
    processes = [deployment.start_worker("worker-1")]
    server.pause()
    try:
        for name, command in (("worker-2", "worker"), ("api", "api")):
            environment = {**deployment.environment, "SHUTTERLINE_PROCESS": f"{deployment.namespace}{name}"}
            processes.append(
                stack.start_process(
                    f"{deployment.namespace}{name}",
                    [sys.executable, "-m", "shutterline", command],
                    environment,
                )
            )

        async def alive() -> bool:
            return all(process_responds(process, "/healthz") for process in processes)

        await eventually("all listen", alive)
        for process in processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGTERM)

        async def ended() -> bool:
            return all(process.pid is None for process in processes)

        took_s = await eventually("all end", ended, deadline_s=STOP_S_MAX)
        print(f"{store} hangs: ended after {took_s:.1f} s")
    finally:
        server.resume()
        for process in processes:
            stack.stop_process(process.name)
