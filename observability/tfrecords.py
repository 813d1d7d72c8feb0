"""TFRecords, the format of TensorBoard's event files: a length and a payload, each with its masked CRC-32C.

TensorBoard's own writer takes the checksum byte by byte in Python, which is most of the time that an event costs;
this one takes four bytes at a time. tensorflow/core/lib/io/record_writer.h describes the format, RFC 3720, B.4 the
checksum.
"""

import struct
from functools import cache

POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected
MASK = 0xA282EAD8


def record(payload: bytes) -> bytes:
    """The payload as a record."""
    length = struct.pack("<Q", len(payload))
    return b"".join((length, _masked(length), payload, _masked(payload)))


def crc32c(data: bytes) -> int:
    ones, low, high = _tables()
    crc = 0xFFFFFFFF
    whole = len(data) & ~3
    for word in struct.unpack(f"<{whole // 4}I", data[:whole]):
        crc ^= word
        crc = low[crc & 0xFFFF] ^ high[crc >> 16]
    for byte in data[whole:]:
        crc = ones[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF)


@cache
def _tables() -> tuple[list[int], list[int], list[int]]:
    """What one byte does to the checksum, what two bytes with two more behind them do, and what two bytes do."""
    ones = [_shifted(byte) for byte in range(256)]
    high = [ones[ones[pair & 0xFF] & 0xFF ^ pair >> 8] ^ ones[pair & 0xFF] >> 8 for pair in range(65536)]
    low = [high[crc & 0xFFFF] ^ crc >> 16 for crc in high]
    return ones, low, high


def _shifted(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc
