"""How many partitions the topics have, for a process that starts."""

import logging

from streams.errors import StoreUnavailable
from streams.kafka.producing.producer import Producer
from streams.retrying import while_starting
from topics.catalogue import UPLOADS
from topics.sizes import Sizes

log = logging.getLogger(__name__)


async def sizes_once_kafka_answers(producer: Producer, namespace: str) -> Sizes:
    """Wait until the topics exist and have leaders: a Faust app that cannot connect as it starts ends.

    Returns the sizes of the topics.

    Raises:
        TopicMismatch: They are not those of the profile.
        StoreMisconfigured: Kafka will never let this process in with its settings.
    """

    @while_starting(on=StoreUnavailable, log=log).wraps
    async def compared() -> Sizes:
        try:
            await producer.ping(UPLOADS.named(namespace))
            return await producer.compare_sizes()
        except StoreUnavailable:
            await producer.require_access()
            raise

    return await compared()
