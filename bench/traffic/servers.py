"""Which server of a stack of several nodes does something for a deployment now."""

from confluent_kafka.admin import AdminClient
from redis import Redis

from infra.local.deployment import Deployment
from infra.local.servers.server import Server
from topics.catalogue import FANOUT

BROKER_S_MAX = 10.0


def leader(deployment: Deployment) -> Server:
    """The broker that leads partition 0 of `fanout`."""
    admin = AdminClient({"bootstrap.servers": deployment.settings.kafka})
    topic = admin.list_topics(timeout=BROKER_S_MAX).topics[FANOUT.named(deployment.namespace)]
    return deployment.stack.server(f"kafka-{topic.partitions[0].leader}")


def cassandra_node(deployment: Deployment) -> Server:
    """One of them; they are alike."""
    return deployment.stack.server("cassandra-2")


def primary(deployment: Deployment) -> Server:
    """The first primary of the Redis Cluster."""
    stack = deployment.stack
    for name in stack.layout.names("redis"):
        with Redis(port=stack.server(name).port) as client:
            if client.info("replication")["role"] == "master":
                return stack.server(name)
    raise AssertionError("no server of Redis is a primary")
