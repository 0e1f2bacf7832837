"""The least that reading a topic costs: a bare consumer that decodes the values of the records."""

import orjson
from confluent_kafka import Consumer, TopicPartition

Fields = dict[str, str]
WAIT_S_MAX = 10.0


class Records:
    """The records of a topic from now on, by its name on the broker."""

    def __init__(self, kafka: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": kafka, "group.id": "floor", "enable.auto.commit": False}
        )
        positions = [
            TopicPartition(
                topic, partition, self._consumer.get_watermark_offsets(TopicPartition(topic, partition))[1]
            )
            for partition in range(partitions)
        ]
        self._consumer.assign(positions)

    def take(self, count: int) -> list[Fields]:
        """The next `count` records, decoded, in the order of arrival.

        Raises:
            TimeoutError: They did not come within `WAIT_S_MAX`.
        """
        taken: list[Fields] = []
        while len(taken) < count:
            messages = self._consumer.consume(count - len(taken), WAIT_S_MAX)
            if not messages:
                raise TimeoutError(f"{count - len(taken)} of {count} records are missing")
            taken += [orjson.loads(message.value()) for message in messages]
        return taken

    def close(self) -> None:
        self._consumer.close()
