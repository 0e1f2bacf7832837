"""Kafka: brokers, consumer groups, and the check stage."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import Field, PositiveInt, field_validator

from streams.settings.part import (
    BreakerSettings,
    EventSettings,
    Namespaced,
    Part,
    ProcessSettings,
    SizeSettings,
)

# What every one of our Kafka clients understands; `kafka/clients.py` translates it.
KAFKA_SECURITY_VALUES: Mapping[str, Sequence[str] | None] = MappingProxyType(
    {
        "security.protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "sasl.mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "sasl.username": None,
        "sasl.password": None,
        "ssl.ca.location": None,
        "ssl.certificate.location": None,
        "ssl.key.location": None,
        "ssl.key.password": None,
        "ssl.endpoint.identification.algorithm": ("https", "none"),
    }
)


class KafkaSettings(Namespaced, BreakerSettings, SizeSettings):
    """The brokers: `host:port`, with commas between. TLS and credentials: JSON, with librdkafka's names."""

    kafka: str = "127.0.0.1:9092"
    kafka_security: dict[str, str] = Field(default_factory=dict)  # For example security.protocol.
    kafka_replicas: PositiveInt = 1  # Of each topic that `shutterline topics` creates.

    @field_validator("kafka_security")
    @classmethod
    def _is_understood(cls, security: dict[str, str]) -> dict[str, str]:
        for name, value in security.items():
            if name not in KAFKA_SECURITY_VALUES:
                raise ValueError(f"{name!r} is not one of {', '.join(KAFKA_SECURITY_VALUES)}")
            values = KAFKA_SECURITY_VALUES[name]
            if values is not None and value not in values:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(values)}")
        return security


class ConsumerSettings(KafkaSettings, ProcessSettings):
    """Consumer groups."""

    session_timeout_s: PositiveInt = 6
    heartbeat_ms: PositiveInt = 300  # A group learns of a member that left or joined with a heartbeat.
    commit_interval_ms: PositiveInt = 1_000
    watchdog_s: PositiveInt = 60


class DeadLetterSettings(Part):
    """When a partition stops because of its dead letters."""

    dead_letters_in_a_row_max: PositiveInt = 100
    dead_letters_window_records: PositiveInt = 1_000
    dead_letters_ratio_max: float = Field(default=0.5, gt=0, le=1)
    # A source with at least this share of the dead letters that reach a limit is set aside instead.
    dead_letters_source_share_min: float = Field(default=0.9, gt=0.5, le=1)
    dead_letters_sources_set_aside_max: PositiveInt = 8  # Of a partition; then it stops.


class ReplaySettings(Part):
    """How dead letters are replayed."""

    # How often one record is handled at most: first, and then by replays. Whatever fails three times is not
    # cured by another one.
    dead_letter_attempts_max: PositiveInt = 3
    # In all. A hundredth of what one worker checks, so a replay delays nobody's new events.
    dead_letter_replays_per_s: PositiveInt = 100
    # All API processes together do one run at a time. After a kill the next one waits so long.
    dead_letter_run_lease_ms: PositiveInt = 15_000


class CheckSettings(DeadLetterSettings, EventSettings):
    """The check stage: batches in records."""

    uploads_batch_records_max: PositiveInt = 128  # Handled together; a few calls to stores.
    check_batch_records_max: PositiveInt = 500  # Follows and likes: a batch is some calls.
