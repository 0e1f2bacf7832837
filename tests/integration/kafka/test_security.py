"""A broker with TLS and SCRAM passwords: every client of the system gets in, and none without them."""

import json
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.local import ports
from infra.local.deployment import Deployment
from infra.local.paths import shared_library
from infra.local.servers.kafka import KafkaServer
from infra.local.stack import Stack
from schemas.facts import PhotoLiked, UserFollowed
from schemas.ids import PhotoId, UserId
from schemas.internal import SetKind
from streams.errors import StoreUnavailable
from streams.kafka.offsets.offsets import Offsets
from streams.stores.connect import connect
from topics.catalogue import LIKES

USER, PASSWORD = "shutterline", "a password of this test alone"
BROKER, BROKER_PASSWORD = "broker", "another password of this test"
WITHIN_S = 3.0
AUTHOR, FOLLOWER, PHOTO = UserId(1), UserId(2), PhotoId(9)
MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"


class SecuredKafka(KafkaServer):
    """One node whose listener asks for a password over TLS. `identity` has its key and certificate."""

    identity: Path
    authority: Path

    def responds(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def configure(self) -> None:
        properties = self._write_properties()
        text = properties.read_text().replace("PLAINTEXT://", "SASL_SSL://")
        text = text.replace("map=PLAINTEXT:PLAINTEXT", "map=SASL_SSL:SASL_SSL")
        text = text.replace("listener.name=PLAINTEXT", "listener.name=SASL_SSL")
        login = f'{MODULE} required username="{BROKER}" password="{BROKER_PASSWORD}";'
        properties.write_text(
            text
            + f"""
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}
ssl.keystore.type=PEM
ssl.keystore.location={self.identity}
ssl.truststore.type=PEM
ssl.truststore.location={self.authority}
"""
        )
        passwords = {USER: PASSWORD, BROKER: BROKER_PASSWORD}
        users = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in passwords.items()]
        tool = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(properties)]
        options = [option for user in users for option in ("--add-scram", user)]
        subprocess.run([*self._java(("32m", "64m")), *tool, *options], check=True, capture_output=True)


def write_identity(folder: Path) -> tuple[Path, Path]:
    """Write a key with its certificate for 127.0.0.1, and the certificate alone; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, identity = folder / "authority.pem", folder / "identity.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    identity.write_bytes(private + authority.read_bytes())
    return identity, authority


@pytest.fixture(scope="module")
def secured(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    taken: list[int] = []
    for _ in range(2):
        taken.append(ports.unused(taken))
    chosen = {"kafka-secured": taken[0], "kafka-secured_controller": taken[1]}
    server = SecuredKafka(stack.home, shared_library(), chosen, dies_with_parent=True, name="kafka-secured")
    server.identity, server.authority = write_identity(tmp_path_factory.mktemp("tls"))
    server.start()
    server.wait_ready()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def deployment(stack: Stack, secured: SecuredKafka) -> Iterator[Deployment]:
    """A deployment on the secured broker and the stack's other servers."""
    security = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        "ssl.ca.location": str(secured.authority),
    }
    environment = {
        "SHUTTERLINE_KAFKA": f"127.0.0.1:{secured.port}",
        "SHUTTERLINE_KAFKA_SECURITY": json.dumps(security),
    }
    made = Deployment(stack, "tsecured.", environment)
    made.prepare()
    yield made
    made.stop()


async def test_every_client_gets_in_with_the_settings_alone(deployment: Deployment) -> None:
    """Topics, producers, agents, the loop over `edges`, offsets: a follow and a like pass all of them."""
    deployment.start_worker()
    deployment.start_api()
    await deployment.publish(
        [
            deployment.outgoing(UserFollowed(follower_id=FOLLOWER, followee_id=AUTHOR)),
            deployment.outgoing(PhotoLiked(photo_id=PHOTO, user_id=FOLLOWER)),
        ]
    )
    await deployment.drained()

    async with connect(deployment.settings, timeout_ms=5_000) as stores:
        followers = await stores.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR])
        likers = await stores.counted_sets.summaries(SetKind.LIKERS, [PHOTO])
    assert (1, 1) == (followers[AUTHOR].total, likers[PHOTO].total)


async def test_nobody_gets_in_without_the_password(deployment: Deployment) -> None:
    """So the test above shows that each client has it."""
    security = {**deployment.settings.kafka_security, "sasl.password": "wrong"}
    settings = deployment.settings.model_copy(update={"kafka_security": security})
    log = (LIKES.named(deployment.namespace), 0)

    assert {log: 0} == await Offsets(deployment.settings, timeout_s=WITHIN_S).ends([log])
    with pytest.raises(StoreUnavailable):
        await Offsets(settings, timeout_s=WITHIN_S).ends([log])
