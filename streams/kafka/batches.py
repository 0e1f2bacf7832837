"""Read every batch of records that a broker takes from a publisher. `clients` makes aiokafka read with this.

A broker does not look into headers, and limits a batch as it is packed. aiokafka raises UnicodeDecodeError
for a header whose name is not UTF-8, and errors of their own kinds for a batch that it cannot unpack; each of
them ends the consumer of a whole group. And it unpacks 1 MB into gigabytes of memory.
"""

from collections.abc import Iterator
from mmap import mmap
from types import MappingProxyType
from typing import Any

import cramjam
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

# Far more than the JSON of events unpacks to: a broker takes 1.1 MB of packed records.
UNPACKED_BYTES_MAX = 64 * 1_048_576
_HEADER_BYTES = _DefaultRecordBatchPy.HEADER_STRUCT.size
_CODEC_AT = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET + 1  # The lower one of two bytes.
# What unpacks each format, and to how many bytes at most for each packed one. Snappy is not among them: 21.
_UNPACK_INTO = MappingProxyType(
    {
        DefaultRecordBatch.CODEC_GZIP: (cramjam.gzip.decompress_into, 1_032),
        DefaultRecordBatch.CODEC_LZ4: (cramjam.lz4.decompress_into, 255),
        DefaultRecordBatch.CODEC_ZSTD: (cramjam.zstd.decompress_into, 32_768),
    }
)


class RecordsBeforeError(PartitionRecords):  # type: ignore[misc]  # aiokafka has no types here
    """The records that a fetch brought of one partition. An error is raised only if none precedes it.

    aiokafka's own raises in the middle, and loses these records. Here they are delivered, and the next fetch
    begins with what cannot be read.
    """

    def _unpack_records(self) -> Iterator[Any]:
        begin = self.next_fetch_offset
        try:
            yield from super()._unpack_records()
        except KafkaError:
            if self.next_fetch_offset == begin:
                raise


class Batches(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka has no types here
    """The batches in a response to a fetch."""

    def next_batch(self) -> Any:
        """Return the next batch; None if there is none.

        Raises:
            CorruptRecordException: It is too short to be a batch.
        """
        raw = self._next_slice
        batch = super().next_batch()
        return _Batch(raw, batch) if isinstance(batch, DefaultRecordBatch) else batch


class _Batch:
    """A batch of the present format, whose records iterate whatever the names of their headers are.

    Raises CorruptRecordException for a batch that cannot be unpacked, as for a wrong checksum, and for one of
    more than `UNPACKED_BYTES_MAX`.
    """

    def __init__(self, raw: memoryview, batch: DefaultRecordBatch) -> None:
        self._raw = raw
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            bounded = self._bounded()
            try:
                yield from self._batch if bounded is self._raw else DefaultRecordBatch(bounded)
            except UnicodeDecodeError:
                # Slowly, and from the begin of the batch: the fetcher skips the offsets that it has.
                batch = _DefaultRecordBatchPy(bounded)
                batch._maybe_uncompress()
                batch._buffer = _Names(batch._buffer)
                yield from batch
        except KafkaError:
            raise
        except Exception as error:
            raise CorruptRecordException(f"batch at offset {self._batch.base_offset}: {error!r}") from error

    def _bounded(self) -> memoryview | bytearray:
        """Return the batch, without compression if it could unpack to more than `UNPACKED_BYTES_MAX`."""
        packed = self._raw[_HEADER_BYTES:]
        unpack_into, growth_max = _UNPACK_INTO.get(self._batch.compression_type, (None, 1))
        if unpack_into is None or len(packed) * growth_max <= UNPACKED_BYTES_MAX:
            return self._raw
        bounded = bytearray(self._raw[:_HEADER_BYTES])
        bounded[_CODEC_AT] &= ~DefaultRecordBatch.CODEC_MASK & 0xFF
        # Memory is used only as far as it is written.
        with mmap(-1, UNPACKED_BYTES_MAX) as room:
            bounded += room[: unpack_into(packed.tobytes(), room)]
        return bounded


class _Names(bytearray):
    """Bytes whose slices decode with an escape such as `\\xff` for each byte that is not UTF-8."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return found if isinstance(found, int) else _Names(found)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
