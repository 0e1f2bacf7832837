"""Batches of records as they are in a broker's log, also such as no client library would write."""

import struct
from collections.abc import Callable, Sequence

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

NAME = "name"  # The header of each record, which `name` replaces by as many bytes.
PACK: dict[int, Callable[[bytes], bytes]] = {
    DefaultRecordBatch.CODEC_NONE: bytes,
    DefaultRecordBatch.CODEC_GZIP: gzip_encode,
    DefaultRecordBatch.CODEC_SNAPPY: snappy_encode,
    DefaultRecordBatch.CODEC_LZ4: lz4_encode,
    DefaultRecordBatch.CODEC_ZSTD: zstd_encode,
}
_BEGIN, _LENGTH, _CRC, _ATTRIBUTES, _RECORDS = 0, 8, 17, 21, 61


def packed_batch(
    values: Sequence[bytes],
    *,
    begin: int = 0,
    codec: int = DefaultRecordBatch.CODEC_NONE,
    name: bytes = NAME.encode(),
    time_ms: int = 1,
    pack: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Return a batch whose checksum is right. `pack` compresses in place of the real `codec`."""
    assert len(name) == len(NAME)
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**31 - 1,
    )
    for index, value in enumerate(values):
        builder.append(
            index, timestamp=time_ms, key=b"7", value=value, headers=[(NAME, b"x"), ("null", None)]
        )
    plain = builder.build()
    batch = plain[:_RECORDS] + (pack or PACK[codec])(bytes(plain[_RECORDS:]).replace(NAME.encode(), name))
    struct.pack_into(">q", batch, _BEGIN, begin)
    struct.pack_into(">i", batch, _LENGTH, len(batch) - _LENGTH - 4)
    struct.pack_into(">h", batch, _ATTRIBUTES, codec)
    struct.pack_into(">I", batch, _CRC, calc_crc32c(bytes(batch[_ATTRIBUTES:])))
    return bytes(batch)


def with_wrong_checksum(batch: bytes) -> bytes:
    """Return the batch with another last byte, as a bad disk would."""
    return batch[:-1] + bytes([batch[-1] ^ 0xFF])
