"""What a broker refuses a consumer: no permission, a group that moves. The consumer asks again."""

import logging

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from streams.kafka.clients import STORE
from streams.metrics import STORE_ERRORS

RETRY_S = 1.0
log = logging.getLogger(__name__)


def report_refusal(consumer: str, error: KafkaError) -> None:
    """Log the error of `consumer`, which tries again after `RETRY_S`, and count it as one of Kafka's."""
    STORE_ERRORS.labels(STORE, type(error).__name__).inc()
    log.warning("%s: %r; trying again", consumer, error, extra={"store": STORE})


def rejoin_after(error: KafkaError, consumer: AIOKafkaConsumer) -> None:
    """Join the group again after an error that ended the heartbeat, as aiokafka does not.

    Without a heartbeat it reports the same error for ever.
    """
    if isinstance(error, GroupAuthorizationFailedError):
        consumer._coordinator.request_rejoin()
