"""Checksums have the published check values, whatever the layout of the array."""

import hashlib

import numpy as np

from mmder_store.checksums import crc32c, sha256

DIGITS = np.frombuffer(b"123456789", np.uint8)


def test_checksums_have_their_published_check_values() -> None:
    """CRC-32C (Castagnoli) of the digits 1 to 9 is E3069283."""
    assert crc32c(DIGITS) == 0xE3069283
    assert sha256(DIGITS) == hashlib.sha256(b"123456789").hexdigest()


def test_the_layout_and_the_shape_do_not_matter() -> None:
    spaced = np.zeros((3, 6), np.uint8)[:, ::2]
    spaced[:] = DIGITS.reshape(3, 3)
    assert crc32c(spaced) == crc32c(DIGITS)
    assert crc32c(DIGITS.copy()) == crc32c(DIGITS)
