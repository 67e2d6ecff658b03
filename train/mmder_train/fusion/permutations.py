"""Frame orders of RFAS, drawn for all clips at once.

The order of a clip is ``numpy.random.default_rng(seed).permutation(16)``, with the 32
bytes of a hash as the seed. To create a generator per clip takes a minute for a
million clips, so NumPy's algorithms are written for arrays of generators here:
`SeedSequence` (O'Neill's ``seed_seq_fe``), PCG64 (XSL-RR 128/64), and the shuffle
of Fisher and Yates with bounded integers by rejection.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt32, UInt64

from mmder_train.fusion.types import NUM_FRAMES

POOL = 4
"""Number of words in which a seed sequence mixes its entropy."""
CHUNK = 1 << 14
"""Number of clips that are drawn at once, which bounds the memory."""
WORDS = 32
"""Number of random words that are drawn at once for each clip."""
MULTIPLIER = (np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645))
"""Multiplier of PCG64, as its high and low 64 bits."""
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
Words = UInt32[np.ndarray, " clip"]
Wide = tuple[UInt64[np.ndarray, " clip"], UInt64[np.ndarray, " clip"]]
"""Integers of 128 bits, as their high and low 64 bits."""


def draw_permutations(
    clip_ids: Sequence[str], *, seed: int, epoch: int
) -> Int64[np.ndarray, "clip 16"]:
    """Draw the frame order of each clip from the seed, the clip id and the epoch."""
    digests = [
        hashlib.sha256(f"{seed}/{epoch}/{clip_id}".encode()).digest()
        for clip_id in clip_ids
    ]
    entropy = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    parts = [
        _shuffle(_Pcg64(_seed_state(entropy[first : first + CHUNK].astype(np.uint32))))
        for first in range(0, len(entropy), CHUNK)
    ]
    return np.concatenate(parts)


class _HashMix:
    """The hash of a seed sequence, whose constant changes with each call."""

    def __init__(self, constant: int, multiplier: int) -> None:
        self.constant, self.multiplier = constant, multiplier

    def __call__(self, value: Words) -> Words:
        value = np.bitwise_xor(value, np.uint32(self.constant))
        self.constant = self.constant * self.multiplier & 0xFFFFFFFF
        value = np.multiply(value, np.uint32(self.constant))
        return _fold(value)


def _mix(x: Words, y: Words) -> Words:
    return _fold(np.uint32(0xCA01F9DD) * x - np.uint32(0x4973F715) * y)


def _fold(word: Words) -> Words:
    """Combine the high half of each word with its low half."""
    folded: Words = np.bitwise_xor(word, np.right_shift(word, np.uint32(16)))
    return folded


def _seed_state(entropy: UInt32[np.ndarray, "clip word"]) -> list[Words]:
    """Return the first eight 32-bit words that each seed sequence generates."""
    hashmix = _HashMix(0x43B0D7E5, 0x931E8875)
    words = entropy.T
    pool = [hashmix(words[i]) for i in range(POOL)]
    for source in range(POOL):
        for target in range(POOL):
            if source != target:
                pool[target] = _mix(pool[target], hashmix(pool[source]))
    for word in words[POOL:]:
        for target in range(POOL):
            pool[target] = _mix(pool[target], hashmix(word))
    generate = _HashMix(0x8B51F9DD, 0x58F38DED)
    return [generate(pool[i % POOL]) for i in range(2 * POOL)]


class _Pcg64:
    """One generator per clip. Each call returns the next 32-bit word of each."""

    def __init__(self, state: list[Words]) -> None:
        s0, s1, i0, i1 = (
            low.astype(np.uint64) | (high.astype(np.uint64) << HALF)
            for low, high in zip(state[::2], state[1::2], strict=True)
        )
        one = np.uint64(1)
        self.increment = ((i0 << one) | (i1 >> np.uint64(63)), (i1 << one) | one)
        self.state = _add(self.increment, (s0, s1))
        self._step()
        self._high: UInt64[np.ndarray, " clip"] | None = None

    def _step(self) -> None:
        self.state = _add(_multiply(self.state), self.increment)

    def next_word(self) -> UInt64[np.ndarray, " clip"]:
        """Return the low half of a new 64-bit output, then its high half."""
        if self._high is not None:
            word, self._high = self._high, None
            return word
        self._step()
        high, low = self.state
        value, turn = high ^ low, high >> np.uint64(58)
        value = (value >> turn) | (value << (-turn & np.uint64(63)))
        self._high = value >> HALF
        return value & LOW


def _add(a: Wide, b: Wide) -> Wide:
    low = a[1] + b[1]
    return a[0] + b[0] + (low < a[1]).astype(np.uint64), low


def _multiply(a: Wide) -> Wide:
    """Multiply by `MULTIPLIER`, modulo 2 to the power of 128."""
    (high, low), (m_high, m_low) = a, MULTIPLIER
    a0, a1, b0, b1 = low & LOW, low >> HALF, m_low & LOW, m_low >> HALF
    middle = a1 * b0 + (a0 * b0 >> HALF)
    carry = a0 * b1 + (middle & LOW)
    top = a1 * b1 + (middle >> HALF) + (carry >> HALF)
    return top + high * m_low + low * m_high, low * m_low


def _shuffle(rng: _Pcg64) -> Int64[np.ndarray, "clip 16"]:
    """Shuffle the frames of each clip, from the last frame to the second.

    A frame is exchanged with one at or before it. Its position is the low bits of a
    word. Words with a larger position are skipped, so clips differ in their number.
    """
    clips = len(rng.state[0])
    words = np.stack([rng.next_word() for _ in range(WORDS)]).astype(np.int64)
    orders = np.tile(np.arange(NUM_FRAMES), (clips, 1))
    used = np.zeros(clips, dtype=np.int64)
    everyone = np.arange(clips)
    for last in range(NUM_FRAMES - 1, 0, -1):
        mask = (1 << last.bit_length()) - 1
        position = np.full(clips, last + 1)
        rows = everyone
        while len(rows):
            if used.max() >= len(words):
                more = [rng.next_word() for _ in range(WORDS)]
                words = np.concatenate([words, np.stack(more).astype(np.int64)])
            position[rows] = words[used[rows], rows] & mask
            used[rows] += 1
            rows = rows[position[rows] > last]
        picked = orders[everyone, position]
        orders[everyone, position] = orders[:, last]
        orders[:, last] = picked
    return orders
