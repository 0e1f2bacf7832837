"""The local stack listens only on the loopback and loses no acknowledged write.

These tests kill servers, so they use a separate stack.
"""

import http.client
import threading
from collections.abc import Callable, Iterator

import botocore.session
import psutil
import pytest
import redis
from botocore.config import Config
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import WhiteListRoundRobinPolicy
from cassandra.query import BatchStatement, BatchType, tuple_factory
from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.local.servers.server import Server
from infra.local.stack import Stack

DEADLINE_S = 60.0
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
MIB = 1024 * 1024
# So many writes that some are in progress when the server is killed.
ACKNOWLEDGED_MIN = 500
# librdkafka logs every refused connection to standard error. These tests refuse connections on
# purpose.
QUIET = {"log_level": 0}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack"), dies_with_parent=True)
    made.start_servers()
    yield made
    made.stop()


@pytest.fixture
def connect(stack: Stack) -> Iterator[Callable[[], Session]]:
    """Opens sessions to Cassandra that are closed after the test."""
    clusters: list[Cluster] = []

    def open_session() -> Session:
        profile = ExecutionProfile(
            load_balancing_policy=WhiteListRoundRobinPolicy(["127.0.0.1"]), row_factory=tuple_factory
        )
        cluster = Cluster(
            ["127.0.0.1"],
            port=stack.server("cassandra").port,
            protocol_version=5,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )
        clusters.append(cluster)
        return cluster.connect()

    yield open_session
    for cluster in clusters:
        cluster.shutdown()


def keyspace(session: Session, name: str) -> None:
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    session.execute(f"CREATE KEYSPACE {name} WITH replication = {replication}")
    session.execute(f"CREATE TABLE {name}.written (id bigint PRIMARY KEY, value blob)")


def create_topic(stack: Stack, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": stack.environment()["SHUTTERLINE_KAFKA"], **QUIET})
    admin.create_topics([NewTopic(name, num_partitions=1)])[name].result(DEADLINE_S)


def restart(server: Server) -> None:
    """Kill the server with kill -9 and start it again on the data that it left."""
    server.kill()
    assert server.pid is None
    server.start()
    server.wait_ready()


def test_nothing_listens_beyond_the_loopback(stack: Stack) -> None:
    """No socket of any server is open to the network. This includes Kafka's controller and
    Cassandra's gossip and management ports."""
    for server in stack.processes():
        listening = psutil.Process(server.pid).net_connections(kind="inet")
        addresses = {c.laddr.ip for c in listening if c.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)}

        assert addresses, f"{server.name} listens nowhere"
        assert addresses <= LOOPBACK, f"{server.name} listens on {addresses}"


def test_each_server_listens_on_its_own_ports_alone(stack: Stack) -> None:
    """A port that the stack did not choose could conflict with another stack on the same
    machine."""
    chosen = {stack.port(name) for name in ("kafka", "kafka_controller", "cassandra", "cassandra_storage")}
    chosen |= {
        stack.port(name)
        for name in ("redis", "s3", "s3_store", "shield", "shield_status", "edge", "edge_status")
    }
    open_ports = {
        connection.laddr.port
        for server in stack.processes()
        for connection in psutil.Process(server.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert open_ports == chosen


def test_a_second_start_reuses_what_runs(stack: Stack) -> None:
    """A second run finds the same processes and starts none. If one process has died, it starts
    only this process."""
    pids = {server.name: server.pid for server in stack.processes()}
    again = Stack(stack.home.root, dies_with_parent=True)

    assert again.start_servers() == []
    assert {server.name: server.pid for server in again.processes()} == pids

    stack.server("redis").kill()

    assert stack.start_servers() == ["redis"]
    assert {server.name for server in stack.processes() if server.pid != pids[server.name]} == {"redis"}


def test_a_paused_server_answers_again_when_it_goes_on(stack: Stack) -> None:
    """Tests pause a server to make it hang: the process exists but does not respond."""
    server = stack.server("redis")
    server.pause()
    try:
        assert not server.responds()
    finally:
        server.resume()

    server.wait_ready()


def test_cassandra_keeps_what_it_acknowledged_when_killed(
    stack: Stack, connect: Callable[[], Session]
) -> None:
    """Cassandra syncs its commit log before it acknowledges, so kill -9 during writes loses no
    acknowledged write."""
    session = connect()
    keyspace(session, "killed")
    insert = session.prepare("INSERT INTO killed.written (id, value) VALUES (?, ?)")
    acknowledged: set[int] = set()
    enough, ended, slots = threading.Event(), threading.Event(), threading.Semaphore(64)

    def done(_rows: object, number: int) -> None:
        acknowledged.add(number)
        slots.release()
        if len(acknowledged) >= ACKNOWLEDGED_MIN:
            enough.set()

    def write() -> None:
        for number in range(1_000_000):
            slots.acquire()
            if ended.is_set():
                return
            future = session.execute_async(insert, (number, b"x"))
            future.add_callbacks(done, lambda _error: slots.release(), callback_args=(number,))

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(DEADLINE_S), f"only {len(acknowledged)} writes were acknowledged in {DEADLINE_S} s"
    stack.server("cassandra").kill()
    ended.set()
    slots.release()
    writer.join(DEADLINE_S)
    stack.server("cassandra").start()
    stack.server("cassandra").wait_ready()

    found = {number for (number,) in connect().execute("SELECT id FROM killed.written")}

    assert acknowledged - found == set()


def test_kafka_keeps_what_it_acknowledged_when_killed(stack: Stack) -> None:
    """Every record that was acknowledged before kill -9 can be read afterwards."""
    create_topic(stack, "killed")
    address = stack.environment()["SHUTTERLINE_KAFKA"]
    producer = Producer(
        {"bootstrap.servers": address, "acks": "all", "linger.ms": 1, "message.timeout.ms": 1_000, **QUIET}
    )
    acknowledged: set[bytes] = set()

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            acknowledged.add(message.value())

    number = 0
    while len(acknowledged) < ACKNOWLEDGED_MIN:
        producer.produce("killed", str(number).encode(), on_delivery=delivered)
        producer.poll(0.001)
        number += 1
    restart(stack.server("kafka"))
    producer.flush(DEADLINE_S)

    assert acknowledged <= read_all(stack, "killed", len(acknowledged))


def read_all(stack: Stack, topic: str, at_least: int) -> set[bytes]:
    """Return every value of the topic, read to its end."""
    consumer = Consumer(
        {
            **QUIET,
            "bootstrap.servers": stack.environment()["SHUTTERLINE_KAFKA"],
            "group.id": f"{topic}-{at_least}",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([topic])
    values: set[bytes] = set()
    try:
        while (message := consumer.poll(DEADLINE_S)) is not None:
            error = message.error()
            if error is None:
                values.add(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                return values
    finally:
        consumer.close()
    raise AssertionError(f"{topic} has no end within {DEADLINE_S} s, {len(values)} records were read")


def test_redis_keeps_what_it_acknowledged_when_killed(stack: Stack) -> None:
    """The append-only file has every write that was acknowledged."""
    address = stack.environment()["SHUTTERLINE_REDIS"]
    with redis.Redis.from_url(address) as client:
        for _ in range(ACKNOWLEDGED_MIN):
            acknowledged = client.incr("killed")
    restart(stack.server("redis"))

    with redis.Redis.from_url(address) as client:
        assert int(client.get("killed")) == acknowledged


def test_s3_keeps_what_it_acknowledged_when_killed_and_shows_it_to_nobody_else(stack: Stack) -> None:
    """The object survives kill -9. The media bucket is private: a request without a signature gets
    403."""
    environment = stack.environment()
    bucket = environment["SHUTTERLINE_S3_BUCKET"]
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=environment["SHUTTERLINE_S3"],
        aws_access_key_id=environment["SHUTTERLINE_S3_ACCESS_KEY"],
        aws_secret_access_key=environment["SHUTTERLINE_S3_SECRET_KEY"],
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )
    client.put_object(Bucket=bucket, Key="originals/1", Body=b"bytes")
    restart(stack.server("s3"))
    with client.get_object(Bucket=bucket, Key="originals/1")["Body"] as body:
        kept = body.read()
    client.close()

    assert kept == b"bytes"
    assert [_stranger(stack.port(name), f"/{bucket}/originals/1") for name in ("s3", "s3_store")] == [
        403,
        403,
    ]


def _stranger(port: int | None, target: str) -> int:
    stranger = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    stranger.request("GET", target)
    answer = stranger.getresponse().status
    stranger.close()
    return answer


def test_cassandra_takes_our_largest_batch_without_a_warning(connect: Callable[[], Session]) -> None:
    """The batch has 300 rows of 1 MiB in total, each in a separate partition. They are read back
    with one IN query."""
    session = connect()
    keyspace(session, "batches")
    insert = session.prepare("INSERT INTO batches.written (id, value) VALUES (?, ?)")
    batch = BatchStatement(BatchType.UNLOGGED)
    for number in range(300):
        batch.add(insert, (number, bytes(MIB // 300)))

    written = session.execute_async(batch)
    written.result()
    select = session.prepare("SELECT id FROM batches.written WHERE id IN ?")
    read = session.execute_async(select, [list(range(300))])
    found = len(list(read.result()))

    assert not written.warnings
    assert not read.warnings
    assert found == 300


def test_kafka_takes_a_record_of_one_mib_with_headers(stack: Stack) -> None:
    """A dead letter is the largest record: 1 MiB, the headers of the original and nine more."""
    create_topic(stack, "large-dlq")
    producer = Producer(
        {"bootstrap.servers": stack.environment()["SHUTTERLINE_KAFKA"], "message.max.bytes": 2 * MIB, **QUIET}
    )
    answers: list[KafkaError | None] = []
    headers = [(f"shutterline_{number}", "x" * 1_000) for number in range(30)]

    producer.produce(
        "large-dlq", bytes(MIB), headers=headers, on_delivery=lambda error, _message: answers.append(error)
    )
    producer.flush(DEADLINE_S)

    assert answers == [None]


def test_kafka_does_not_make_topics_by_itself(stack: Stack) -> None:
    """A producer with a typing error in a topic's name gets an error."""
    address = stack.environment()["SHUTTERLINE_KAFKA"]
    producer = Producer({"bootstrap.servers": address, "message.timeout.ms": 3_000, **QUIET})
    answers: list[KafkaError | None] = []

    producer.produce("uplods", b"x", on_delivery=lambda error, _message: answers.append(error))
    producer.flush(DEADLINE_S)

    assert [error is not None for error in answers] == [True]
    assert (
        "uplods"
        not in AdminClient({"bootstrap.servers": address, **QUIET}).list_topics(timeout=DEADLINE_S).topics
    )


def test_two_stacks_run_side_by_side(stack: Stack, run_stack: Stack) -> None:
    """The second stack chooses other ports; its data is not in the first, which outlives it. It is the last
    test of the file, because it ends the stack of the file."""
    with redis.Redis.from_url(stack.environment()["SHUTTERLINE_REDIS"]) as client:
        client.set("side", "of the file")
    with redis.Redis.from_url(run_stack.environment()["SHUTTERLINE_REDIS"]) as client:
        assert client.get("side") is None
    stack.stop()

    assert stack.running() == set()
    assert all(
        run_stack.server(name).responds()
        for name in ("kafka", "cassandra", "redis", "s3", "s3_gate", "shield", "edge")
    )
