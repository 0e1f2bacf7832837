"""How every Kafka client of this system connects and reads: addresses, TLS, credentials, committed records.

Three libraries talk to Kafka here: librdkafka (producers, offsets), aiokafka (the loop over `edges`, the
repair) and Faust (agents), which uses aiokafka. The settings have librdkafka's names; the functions below
translate them, so that no client is made in another way.

Consumers read `read_committed`: the records of an aborted transaction are never delivered, and those of
an open one not yet. For them a log ends at its last stable offset.
"""

import logging
import ssl
from typing import Any

import faust
from aiokafka.consumer import fetcher
from faust.types.auth import CredentialsT

from streams.kafka.batches import Batches, RecordsBeforeError
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
STORE = "kafka"
READ_COMMITTED = "read_committed"
# aiokafka looks for a new leader after some errors only: without this, a partition whose first offset it asks
# a former leader for would stand still for five minutes.
METADATA_MS_MAX = 3_000
# aiokafka's own cannot read all that a broker takes, and no argument of a consumer names another.
fetcher.MemoryRecords = Batches
fetcher.PartitionRecords = RecordsBeforeError


def librdkafka_client(settings: KafkaSettings) -> dict[str, str | int | logging.Logger]:
    """Return the configuration of a librdkafka client, without what is the client's own."""
    # Below errors: while a broker is down, librdkafka logs each of its tries to connect, many a second.
    # Our own code logs what fails for it. Fatal errors are still logged.
    return {
        "bootstrap.servers": settings.kafka,
        "log_level": 2,
        "logger": log,  # It would write to standard error itself.
        **settings.kafka_security,
    }


def librdkafka_consumer(settings: KafkaSettings, group: str) -> dict[str, str | int | bool | logging.Logger]:
    """Return the configuration of a librdkafka consumer that never commits by itself."""
    return {
        **librdkafka_client(settings),
        "group.id": group,
        "enable.auto.commit": False,
        "isolation.level": READ_COMMITTED,
    }


def aiokafka_consumer(settings: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments of an aiokafka consumer that never commits by itself."""
    return {
        **aiokafka_client(settings),
        "enable_auto_commit": False,
        "isolation_level": READ_COMMITTED,
    }


def aiokafka_client(settings: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments of an aiokafka client of any kind."""
    security = settings.kafka_security
    return {
        "bootstrap_servers": settings.kafka,
        "security_protocol": security.get("security.protocol", "PLAINTEXT").upper(),
        "ssl_context": kafka_tls(settings),
        "sasl_mechanism": security.get("sasl.mechanism", "PLAIN"),
        "sasl_plain_username": security.get("sasl.username"),
        "sasl_plain_password": security.get("sasl.password"),
        "metadata_max_age_ms": METADATA_MS_MAX,
    }


def faust_credentials(settings: KafkaSettings) -> CredentialsT | None:
    """Return the credentials of a Faust app; None for a broker that asks for none."""
    security = settings.kafka_security
    tls = kafka_tls(settings)
    if security.get("security.protocol", "").upper().startswith("SASL"):
        return faust.SASLCredentials(
            username=security.get("sasl.username"),
            password=security.get("sasl.password"),
            mechanism=security.get("sasl.mechanism", "PLAIN"),
            ssl_context=tls,
        )
    return faust.SSLCredentials(tls) if tls is not None else None


def kafka_tls(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return the context of a client that does not use librdkafka; None if Kafka is without TLS."""
    security = settings.kafka_security
    if not security.get("security.protocol", "").upper().endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
    if security.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    certificate = security.get("ssl.certificate.location")
    if certificate is not None:
        context.load_cert_chain(
            certificate, security.get("ssl.key.location"), security.get("ssl.key.password")
        )
    return context
