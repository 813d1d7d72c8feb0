"""The records of event files, compared with TensorBoard's own."""

import random

import pytest
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow as theirs

from observability.tfrecords import crc32c, record


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 7, 8, 255, 1021])
def test_a_record_is_what_tensorboard_writes(length: int) -> None:
    payload = random.Random(length).randbytes(length)
    size = length.to_bytes(8, "little")
    checks = [theirs.masked_crc32c(part).to_bytes(4, "little") for part in (size, payload)]
    assert record(payload) == size + checks[0] + payload + checks[1]
