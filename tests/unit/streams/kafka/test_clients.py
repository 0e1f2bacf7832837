"""Every client is made from the same settings: addresses, TLS, credentials, committed reads."""

import re
import ssl
from pathlib import Path

import faust
import pytest
from pydantic import ValidationError

from streams.kafka.clients import aiokafka_consumer, faust_credentials, librdkafka_client, librdkafka_consumer
from streams.settings import KafkaSettings

SASL = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "shutterline",
    "sasl.password": "secret",
    "ssl.endpoint.identification.algorithm": "none",
}


def test_a_local_broker_asks_for_nothing() -> None:
    """The defaults are the local stack's."""
    settings = KafkaSettings(kafka="a:1,b:2")

    assert faust_credentials(settings) is None
    assert "a:1,b:2" == librdkafka_client(settings)["bootstrap.servers"]
    kwargs = aiokafka_consumer(settings)
    assert ("a:1,b:2", "PLAINTEXT", None) == (
        kwargs["bootstrap_servers"],
        kwargs["security_protocol"],
        kwargs["ssl_context"],
    )


def test_every_client_gets_the_credentials() -> None:
    """A client without them reads nothing from a cluster that asks for them."""
    settings = KafkaSettings(kafka_security=SASL)

    assert SASL.items() <= librdkafka_client(settings).items()
    kwargs = aiokafka_consumer(settings)
    assert ("SASL_SSL", "SCRAM-SHA-512", "shutterline", "secret") == (
        kwargs["security_protocol"],
        kwargs["sasl_mechanism"],
        kwargs["sasl_plain_username"],
        kwargs["sasl_plain_password"],
    )
    credentials = faust_credentials(settings)
    assert isinstance(credentials, faust.SASLCredentials)
    assert ("SCRAM-SHA-512", "shutterline", "secret") == (
        credentials.mechanism.value,
        credentials.username,
        credentials.password,
    )
    for context in (kwargs["ssl_context"], credentials.ssl_context):
        assert isinstance(context, ssl.SSLContext)
        assert not context.check_hostname


def test_a_cluster_with_tls_alone_is_verified() -> None:
    """The name in its certificate must be the address, unless the settings say otherwise."""
    settings = KafkaSettings(kafka_security={"security.protocol": "SSL"})
    credentials = faust_credentials(settings)

    assert isinstance(credentials, faust.SSLCredentials)
    assert credentials.context.check_hostname
    assert ssl.CERT_REQUIRED == credentials.context.verify_mode


def test_every_consumer_reads_committed_records_only() -> None:
    """What a publisher aborted must have no effect."""
    settings = KafkaSettings()

    assert "read_committed" == librdkafka_consumer(settings, "g")["isolation.level"]
    assert "read_committed" == aiokafka_consumer(settings)["isolation_level"]


@pytest.mark.parametrize(
    ("security", "message"),
    [
        ({"sasl.mechanisms": "PLAIN"}, "'sasl.mechanisms' is not one of security.protocol"),
        ({"security.protocol": "TLS"}, "security.protocol is 'TLS'; it must be one of PLAINTEXT, SSL"),
        ({"sasl.mechanism": "GSSAPI"}, "sasl.mechanism is 'GSSAPI'; it must be one of PLAIN"),
    ],
)
def test_what_a_client_would_not_understand_is_refused(security: dict[str, str], message: str) -> None:
    """Otherwise producers would connect and agents would not."""
    with pytest.raises(ValidationError, match=message):
        KafkaSettings(kafka_security=security)


def test_no_client_is_made_in_another_way() -> None:
    """Every Kafka client in the product takes its addresses from `kafka/clients.py`."""
    sources = [path for folder in ("streams", "api") for path in Path(folder).rglob("*.py")]
    named = [path for path in sources if re.search(r"bootstrap[._]servers", path.read_text())]

    assert [Path("streams/kafka/clients.py")] == named
