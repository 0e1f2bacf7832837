"""Which server of a stack of several nodes does something for a deployment now."""

from confluent_kafka.admin import AdminClient
from redis.cluster import ClusterNode, RedisCluster

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
    """The primary of the Redis Cluster that has slot 0."""
    stack = deployment.stack
    servers = [stack.server(name) for name in stack.layout.names("redis")]
    nodes = [ClusterNode("127.0.0.1", server.port) for server in servers]  # type: ignore[no-untyped-call]
    with RedisCluster(startup_nodes=nodes) as cluster:
        port = cluster.nodes_manager.get_node_from_slot(0).port
    return next(server for server in servers if server.port == port)
