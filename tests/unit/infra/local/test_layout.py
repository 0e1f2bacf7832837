"""A stack of one node, and one of three nodes of Kafka, Cassandra and Redis."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from infra.local import ports
from infra.local.errors import StackError
from infra.local.layout import LATER_PORTS, Layout, layout_of
from infra.local.paths import private_folder
from infra.local.secured.certificates import Authority
from infra.local.servers.cassandra import CassandraServer
from infra.local.servers.kafka import KafkaServer
from infra.local.servers.redis_cluster import RedisClusterServer
from infra.local.servers.server import Server
from infra.local.stack import Stack
from streams.settings import Settings

THREE = Layout(3)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    made = Stack(tmp_path / "stack", layout=THREE)
    made.choose_ports()
    return made


def configured(server: Server, file: str) -> str:
    """Let the server write its configuration; returns that file's text."""
    for folder in (server.home.conf / server.name, server.data_dir):
        private_folder(folder)
    server.configure()
    return (server.home.conf / server.name / file).read_text()


def test_names_of_one_node_are_as_ever_and_of_three_have_numbers() -> None:
    assert [Layout().names(kind) for kind in ("kafka", "redis", "s3")] == [("kafka",), ("redis",), ("s3",)]
    assert THREE.names("kafka") == ("kafka-1", "kafka-2", "kafka-3")
    assert THREE.names("redis") == tuple(f"redis-{number}" for number in range(1, 7))
    assert THREE.names("s3") == ("s3",)


@pytest.mark.parametrize("layout", [Layout(), THREE, Layout(secured=True), Layout(3, secured=True)])
def test_the_ports_of_a_run_tell_its_layout(layout: Layout) -> None:
    """So `make down`, `status`, `clean` and a second `make up` need not be told."""
    chosen = ports.choose({}, {}, (), owners=layout.port_owners())

    assert layout_of(chosen) == layout
    assert layout_of({}) == Layout()


def test_a_stack_that_is_older_than_the_lag_monitor_and_prometheus_keeps_its_layout(stack: Stack) -> None:
    """Its data would be out of reach otherwise. It gets the ports when it is started."""
    chosen = json.loads(stack.home.ports_file.read_text())
    for name in LATER_PORTS:
        del chosen[name]
    stack.home.ports_file.write_text(json.dumps(chosen))

    again = Stack(stack.home.root)
    assert again.layout == THREE
    assert "SHUTTERLINE_MONITOR" not in again.environment()
    again.choose_ports()
    assert again.environment()["SHUTTERLINE_MONITOR"] == f"127.0.0.1:{again.port('monitor')}"
    assert again.port("prometheus")


def test_a_stack_keeps_its_layout(stack: Stack) -> None:
    again = Stack(stack.home.root)

    assert again.layout == THREE
    assert {each.name for each in again.processes()} >= {"kafka-3", "cassandra-3", "redis-6", "edge"}


def test_another_layout_is_refused_until_the_stack_is_cleaned(stack: Stack) -> None:
    """Its data are those of three nodes."""
    with pytest.raises(StackError, match="has 3 nodes and data, and is to have 1: run `make clean` first"):
        Stack(stack.home.root, layout=Layout())

    stack.clean()
    assert Stack(stack.home.root, layout=Layout()).layout == Layout()


def test_a_stack_with_data_does_not_become_secured(tmp_path: Path) -> None:
    """Its Kafka and Cassandra know no user. One that is secured stays so without being told."""
    Stack(tmp_path / "open").choose_ports()
    Stack(tmp_path / "secured", secured=True).choose_ports()

    with pytest.raises(StackError, match="has 1 nodes and data, and is to have 1 with TLS"):
        Stack(tmp_path / "open", secured=True)
    assert Stack(tmp_path / "secured", layout=Layout()).layout == Layout(secured=True)


def test_programs_of_a_secured_stack_get_logins_and_authorities(tmp_path: Path) -> None:
    """A shell reads the file of the environment as our own programs do."""
    stack = Stack(tmp_path / "stack", secured=True)
    stack.choose_ports()
    environment, file = stack.environment(), stack.write_environment()
    show = f"set -a; . {file}; printenv SHUTTERLINE_KAFKA_SECURITY"

    shown = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True).stdout

    assert json.loads(shown) == json.loads(environment["SHUTTERLINE_KAFKA_SECURITY"])
    read = Settings(_env_file=file)
    assert read.kafka_security == json.loads(shown)
    assert (read.redis, str(read.redis_tls_ca)) == (
        environment["SHUTTERLINE_REDIS"],
        environment["SHUTTERLINE_REDIS_TLS_CA"],
    )
    assert read.redis.startswith("rediss://shutterline:")
    assert read.s3 == f"https://127.0.0.1:{stack.port('s3')}"


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.identity("kafka")

    assert {0o600} == {path.stat().st_mode & 0o777 for path in identity.parent.iterdir()}
    assert 0o700 == identity.parent.stat().st_mode & 0o777
    assert "PRIVATE KEY" not in authority.file.read_text()
    assert identity.read_bytes() == Authority(tmp_path).identity("kafka").read_bytes()


def test_programs_get_the_addresses_of_all_nodes(stack: Stack) -> None:
    environment = stack.environment()
    cassandra = [f"127.0.0.1:{stack.port(f'cassandra-{number}')}" for number in (1, 2, 3)]
    redis = [f"127.0.0.1:{stack.port(f'redis-{number}')}" for number in range(1, 7)]

    assert environment["SHUTTERLINE_CASSANDRA"] == ",".join(cassandra)
    assert environment["SHUTTERLINE_REDIS"] == f"redis://{','.join(redis)}/0"
    assert len(environment["SHUTTERLINE_KAFKA"].split(",")) == 3
    assert environment["SHUTTERLINE_KAFKA_REPLICAS"] == "3"
    assert environment["SHUTTERLINE_CASSANDRA_REPLICATION"] == "3"
    assert environment["SHUTTERLINE_REDIS_CLUSTER"] == "1"


def test_the_nodes_of_a_ring_know_each_other_and_have_equal_parts(stack: Stack) -> None:
    tokens = []
    for number in (1, 2, 3):
        node = stack.server(f"cassandra-{number}")
        assert isinstance(node, CassandraServer)
        written = configured(node, "cassandra.yaml")
        seeds = ",".join(f"127.0.0.1:{stack.port(f'cassandra-{each}_storage')}" for each in (1, 2, 3))
        assert f'seeds: "{seeds}"' in written
        tokens.append(int(written.split("initial_token: ")[1].split()[0]))

    assert tokens[0] == -(2**63)
    assert {later - earlier for earlier, later in pairwise(tokens)} == {2**64 // 3}


def test_brokers_vote_together_and_two_of_three_are_enough(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KafkaServer, "_format", lambda self, properties: None)
    voters = ",".join(f"{each}@127.0.0.1:{stack.port(f'kafka-{each}_controller')}" for each in (1, 2, 3))

    written = [configured(stack.server(f"kafka-{number}"), "server.properties") for number in (1, 2, 3)]

    for number, text in enumerate(written, start=1):
        assert f"\nnode.id={number}\ncontroller.quorum.voters={voters}\n" in text
        assert "\nmin.insync.replicas=2\noffsets.topic.replication.factor=3\n" in text


def test_each_server_of_a_cluster_has_a_port_for_the_others(stack: Stack) -> None:
    server = stack.server("redis-4")
    assert isinstance(server, RedisClusterServer)

    assert f"\ncluster-port {stack.port('redis-4_bus')}\n" in configured(server, "cluster.conf")


def test_a_port_of_a_node_is_named_by_a_variable_that_shells_allow() -> None:
    owners = THREE.port_owners()

    assert ports.given({"SHUTTERLINE_REDIS_6_PORT": "7006"}, owners) == {"redis-6": 7006}
    with pytest.raises(StackError, match="SHUTTERLINE_KAFKA_2_PORT is 'x'"):
        ports.given({"SHUTTERLINE_KAFKA_2_PORT": "x"}, owners)
