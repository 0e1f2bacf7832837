"""What a broker refuses a consumer: no permission, a group that moves. The consumer asks again."""

import logging

from aiokafka.errors import KafkaError

from streams.kafka.producing.producer import STORE
from streams.metrics import STORE_ERRORS

RETRY_S = 1.0
log = logging.getLogger(__name__)


def report_refusal(consumer: str, error: KafkaError) -> None:
    """Log the error of `consumer`, which tries again after `RETRY_S`, and count it as one of Kafka's."""
    STORE_ERRORS.labels(STORE, type(error).__name__).inc()
    log.warning("%s: %r; trying again", consumer, error)
