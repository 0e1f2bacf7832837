"""A replay is the record as it was, in the partition where it was, with its next attempt."""

from collections.abc import Sequence

from streams.kafka.producing.producer import Outgoing
from streams.kafka.producing.replays import KafkaOperationsLog, KafkaReplays
from tests.unit.streams.jobs.dead_letters.letters import letter
from topics.sizes import SIZES, Profile

LOCAL = SIZES[Profile.LOCAL]


class Sent:
    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        self.records += records


async def test_key_value_and_own_headers_are_unchanged() -> None:
    """Null stays null, and the order of the letters is that of the records."""
    sent = Sent()
    letters = [letter(0, value=b"\xff", headers=[("a", None), ("a", b"1")]), letter(1, key=None, value=None)]
    await KafkaReplays(sent, "t1.", LOCAL).publish(letters)

    assert sent.records == [
        Outgoing("t1.likes", 1, b"7", b"\xff", [("a", None), ("a", b"1"), ("shutterline_attempt", b"2")]),
        Outgoing(
            "t1.likes", 1, None, None, [("ce_id", b"e1"), ("trace", None), ("shutterline_attempt", b"2")]
        ),
    ]


async def test_what_was_done_has_its_run_as_key() -> None:
    sent = Sent()
    await KafkaOperationsLog(sent, "t1.").announce("5f3c", b"{}")

    assert [Outgoing("t1.operations", 0, b"5f3c", b"{}")] == sent.records
