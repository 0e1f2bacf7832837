"""A process ends only if the brokers refuse its login for good; everything else is waited for."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import StoreMisconfigured
from streams.kafka.producing import access
from streams.settings import KafkaSettings

SETTINGS = KafkaSettings(
    kafka="one:1", kafka_security={"security.protocol": "SASL_PLAINTEXT", "sasl.username": "me"}
)


class Client:
    """Has no answer, and reports these errors."""

    def __init__(self, configuration: Mapping[str, Any], errors: list[KafkaError]) -> None:
        self._report: Callable[[KafkaError], None] = configuration["error_cb"]
        self._errors = errors
        self.looks = 0

    def list_topics(self, *, timeout: float) -> None:
        self.looks += 1
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def poll(self, _: float) -> None:
        for error in self._errors:
            self._report(error)


def asked(monkeypatch: pytest.MonkeyPatch, *errors: KafkaError) -> Client:
    made: list[Client] = []

    def new(configuration: Mapping[str, Any]) -> Client:
        made.append(Client(configuration, list(errors)))
        return made[0]

    monkeypatch.setattr(access, "Producer", new)
    access.require_access(SETTINGS)
    return made[0]


@pytest.mark.parametrize("text", ["due to invalid credentials with SASL", "Invalid username or password"])
def test_a_login_that_the_brokers_refuse_is_wrong(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(StoreMisconfigured, match="kafka at one:1 refuses the user 'me'"):
        asked(monkeypatch, KafkaError(KafkaError._AUTHENTICATION, text))


def test_a_broker_that_ends_during_a_login_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka has the same code for it."""
    client = asked(monkeypatch, KafkaError(KafkaError._AUTHENTICATION, "handshake failed: Disconnected"))

    assert access.LOOKS_MAX == client.looks


def test_brokers_that_are_away_are_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the start is hardly later where they are away: the caller retries."""
    assert 1 == asked(monkeypatch, KafkaError(KafkaError._TRANSPORT, "Connect failed")).looks
