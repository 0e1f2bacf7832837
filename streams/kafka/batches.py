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
from aiokafka.codec import snappy_decode
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

# Far more than the JSON of events unpacks to: a broker takes 1.1 MB of packed records.
UNPACKED_BYTES_MAX = 64 * 1_048_576
_HEADER_BYTES = _DefaultRecordBatchPy.HEADER_STRUCT.size
_CODEC_AT = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET + 1  # The lower one of two bytes.
# Snappy is not among them: it packs to 1/21 at best.
_UNPACK_INTO = MappingProxyType(
    {
        DefaultRecordBatch.CODEC_GZIP: cramjam.gzip.decompress_into,
        DefaultRecordBatch.CODEC_LZ4: cramjam.lz4.decompress_into,
        DefaultRecordBatch.CODEC_ZSTD: cramjam.zstd.decompress_into,
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
            unpacked = self._unpacked()
            try:
                yield from DefaultRecordBatch(unpacked)
            except UnicodeDecodeError:
                # Slowly, and from the begin of the batch: the fetcher skips the offsets that it has.
                batch = _DefaultRecordBatchPy(unpacked)
                batch._buffer = _Names(unpacked)
                yield from batch
        except KafkaError:
            raise
        except Exception as error:
            raise CorruptRecordException(f"batch at offset {self._batch.base_offset}: {error!r}") from error

    def _unpacked(self) -> memoryview | bytearray:
        """Return the batch as it is without compression."""
        codec, packed = self._batch.compression_type, bytes(self._raw[_HEADER_BYTES:])
        if codec == DefaultRecordBatch.CODEC_SNAPPY:
            records = snappy_decode(packed)
        elif codec in _UNPACK_INTO:
            # Memory is used only as far as it is written.
            with mmap(-1, UNPACKED_BYTES_MAX) as room:
                records = room[: _UNPACK_INTO[codec](packed, room)]
        else:
            return self._raw  # Not compressed, or aiokafka refuses the codec.
        header = bytearray(self._raw[:_HEADER_BYTES])
        header[_CODEC_AT] &= ~DefaultRecordBatch.CODEC_MASK & 0xFF
        return header + records


class _Names(bytearray):
    """Bytes whose slices decode with an escape such as `\\xff` for each byte that is not UTF-8."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return found if isinstance(found, int) else _Names(found)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
