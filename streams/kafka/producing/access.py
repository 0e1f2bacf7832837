"""Whether Kafka will ever let a process in with its settings."""

import re

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.errors import StoreMisconfigured
from streams.kafka.clients import STORE, kafka_tls, librdkafka_client
from streams.settings import KafkaSettings
from streams.stores.tls import require_certificate

LOOK_S = 0.5
LOOKS_MAX = 6
# librdkafka has one code for whatever goes wrong during a login, also for a broker that ends meanwhile.
_WRONG_LOGIN = re.compile(r"invalid credentials|invalid username or password", re.IGNORECASE)
_AWAY = {KafkaError._TRANSPORT, KafkaError._RESOLVE}


def require_access(settings: KafkaSettings) -> None:
    """Log in with a client of its own; return if waiting may help, or all is well. Blocks for seconds.

    Raises:
        StoreMisconfigured: The brokers refuse the login, or have invalid certificates.
    """
    context = kafka_tls(settings)
    if context is not None:
        authorities = "ssl.ca.location in SHUTTERLINE_KAFKA_SECURITY"
        require_certificate(STORE, settings.kafka.split(","), context, authorities)
    errors: list[KafkaError] = []
    client = Producer({**librdkafka_client(settings), "error_cb": errors.append})
    for _ in range(LOOKS_MAX):
        try:
            client.list_topics(timeout=LOOK_S)
        except KafkaException:
            client.poll(0)  # Calls `error_cb`, which alone hears why.
        else:
            return
        if any(_WRONG_LOGIN.search(error.str()) for error in errors):
            raise StoreMisconfigured.of_login(
                STORE,
                settings.kafka,
                settings.kafka_security.get("sasl.username", ""),
                "sasl.username or sasl.password in SHUTTERLINE_KAFKA_SECURITY",
            )
        if any(error.code() in _AWAY for error in errors):
            return
