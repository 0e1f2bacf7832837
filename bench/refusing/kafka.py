"""Make Kafka refuse: a broker of its own, which authorises its users and has a small disk."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from bench.refusing.refusing import MIB, Refusing, filled, small_disk
from infra.local import ports
from infra.local.paths import shared_library
from infra.local.servers.kafka import KafkaServer
from infra.local.stack import Stack

NAME = "kafka_refusing"
USER, BROKER, PASSWORD = "shutterline", "broker", "of benches and tests alone"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
DISK_BYTES = 512 * MIB
QUOTA_BYTES_PER_S = 2_000
TIMEOUT_S = 10.0


class RefusingKafka(KafkaServer):
    """A broker whose clients are `USER`, or `BROKER`, who may do everything."""

    def configure(self) -> None:
        super().configure()
        properties = self._conf_dir / "server.properties"
        text = properties.read_text().replace("PLAINTEXT://", "SASL_PLAINTEXT://")
        text = text.replace("map=PLAINTEXT:PLAINTEXT", "map=SASL_PLAINTEXT:SASL_PLAINTEXT")
        text = text.replace("listener.name=PLAINTEXT", "listener.name=SASL_PLAINTEXT")
        users = " ".join(f'user_{name}="{PASSWORD}"' for name in (USER, BROKER))
        login = f'{LOGIN} required username="{BROKER}" password="{PASSWORD}" {users};'
        properties.write_text(
            text
            + f"""
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config={login}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{BROKER};User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""
        )
        # Of the tool that changes quotas.
        (self._conf_dir / "broker.properties").write_text(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
            f'sasl.jaas.config={LOGIN} required username="{BROKER}" password="{PASSWORD}";\n'
        )

    def change_quotas(self, *change: str) -> None:
        """Run Kafka's own tool, because no Python client can do this."""
        tool = [*self._java(("32m", "64m")), "kafka.admin.ConfigCommand"]
        tool += ["--bootstrap-server", f"127.0.0.1:{self.port}"]
        tool += ["--command-config", str(self._conf_dir / "broker.properties")]
        entity = ["--alter", "--entity-type", "users", "--entity-name", USER]
        subprocess.run([*tool, *entity, *change], check=True, capture_output=True)


def security_of(user: str) -> dict[str, str]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": PASSWORD,
    }


@contextmanager
def low_quota(server: RefusingKafka) -> Iterator[None]:
    names = ("producer_byte_rate", "consumer_byte_rate")
    server.change_quotas("--add-config", ",".join(f"{name}={QUOTA_BYTES_PER_S}" for name in names))
    try:
        yield
    finally:
        server.change_quotas("--delete-config", ",".join(names))


@contextmanager
def denied(server: RefusingKafka, operation: AclOperation, *resources: ResourceType) -> Iterator[None]:
    """Deny the operation on all `resources`."""
    admin = admin_of(server)
    acls = [rule(resource, operation, AclPermissionType.DENY) for resource in resources]
    for created in admin.create_acls([AclBinding(*acl) for acl in acls]).values():
        created.result(TIMEOUT_S)
    try:
        yield
    finally:
        for deleted in admin.delete_acls([AclBindingFilter(*acl) for acl in acls]).values():
            deleted.result(TIMEOUT_S)


def no_permission_to_write(server: RefusingKafka) -> AbstractContextManager[None]:
    return denied(server, AclOperation.WRITE, ResourceType.TOPIC)


def no_permission(server: RefusingKafka) -> AbstractContextManager[None]:
    return denied(server, AclOperation.ALL, ResourceType.TOPIC, ResourceType.GROUP)


def allow_all(server: RefusingKafka) -> None:
    """Allow `USER` everything; while one rule of a resource exists, what no rule allows is denied."""
    resources = (ResourceType.TOPIC, ResourceType.GROUP)
    acls = [rule(resource, AclOperation.ALL, AclPermissionType.ALLOW) for resource in resources]
    admin = admin_of(server)  # If it is forgotten, its requests fail.
    for created in admin.create_acls([AclBinding(*acl) for acl in acls]).values():
        created.result(TIMEOUT_S)


def admin_of(server: RefusingKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port}", **security_of(BROKER)})


def rule(resource: ResourceType, operation: AclOperation, permission: AclPermissionType) -> tuple[Any, ...]:
    return (resource, "*", ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, permission)


@contextmanager
def full_disk(server: RefusingKafka) -> Iterator[None]:
    """The broker ends itself when it cannot write; its operator frees the disk and starts it again."""
    with filled(server.data_dir):
        yield
    server.stop()
    server.start()
    server.wait_ready()


@contextmanager
def second_broker(stack: Stack) -> Iterator[RefusingKafka]:
    """A broker beside the stack's own, and running."""
    taken = [ports.unused(())]
    chosen = {NAME: taken[0], f"{NAME}_controller": ports.unused(taken)}
    server = RefusingKafka(stack.home, shared_library(), chosen, dies_with_parent=True, name=NAME)
    server.start()
    try:
        server.wait_ready()
        allow_all(server)
        yield server
    finally:
        server.stop()


def environment_of(server: RefusingKafka) -> dict[str, str]:
    return {
        "SHUTTERLINE_KAFKA": f"127.0.0.1:{server.port}",
        "SHUTTERLINE_KAFKA_SECURITY": json.dumps(security_of(USER)),
    }


@contextmanager
def refusing_kafka(stack: Stack) -> Iterator[Refusing]:
    """A second broker on a small disk."""
    with small_disk(stack.home.data / NAME, DISK_BYTES), second_broker(stack) as server:
        yield Refusing(
            environment_of(server),
            {
                "quota": partial(low_quota, server),
                "no permission to write": partial(no_permission_to_write, server),
                "no permission": partial(no_permission, server),
                "disk full": partial(full_disk, server),
            },
        )
