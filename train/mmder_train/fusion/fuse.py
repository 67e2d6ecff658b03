"""Pictures and sound to the encoder's input, on tensors. Nothing here opens a file.

Axis order is clip, rgb, frame, height, width; a batch goes through whole, and all
runs on the device of what is given. ``v`` and ``a`` are the paper's V and A:
pictures of 8 bits a colour, a quarter of the memory of floats, until `normalised`.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from mmder_train.fusion.rendering import RenderSettings, write_faces, write_spectrograms
from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import (
    NUM_FRAMES,
    SIDE_PX,
    Frames,
    Input,
    Permutation,
    Spectrograms,
)


def frame_permutations(
    clip_ids: Sequence[str], *, seed: int, epoch: int = 0
) -> Permutation:
    """Draw the order of RFAS for each clip from the seed, its name and the epoch.

    The order of a clip does not depend on the clips around it.
    """
    return torch.from_numpy(
        np.stack(
            [
                np.random.default_rng(
                    list(hashlib.sha256(f"{seed}/{epoch}/{name}".encode()).digest())
                ).permutation(NUM_FRAMES)
                for name in clip_ids
            ]
        )
    )


def fuse(
    frames: Frames | None,
    sound: Spectrograms | None,
    places: Permutation,
    *,
    strategy: Strategy,
    look: RenderSettings,
) -> Input:
    """Give the encoder's input X of a batch of stored clips.

    Args:
        frames: As many as the strategy takes, None where it takes none.
        sound: Windows of the same instants, None where the strategy takes none.
        places: Order of the sixteen frames, used by RFAS alone.
        strategy: A row of `STRATEGIES`.
        look: How spectrograms are painted, and all pictures normalised.
    """
    given = sound if frames is None else frames
    assert given is not None
    clips = len(given)
    x = torch.empty(clips, 3, NUM_FRAMES, SIDE_PX, SIDE_PX, device=given.device)
    # One by one what lies in between stays in a processor's caches, and no clip
    # depends on those around it; a GPU takes all at once.
    step = 1 if x.device.type == "cpu" else clips
    for first in range(0, clips, step):
        some = slice(first, first + step)
        ordered = torch.empty_like(x[some]) if strategy.shuffles_frames else x[some]
        v, a = strategy.layout(ordered)
        if v is not None and frames is not None:
            write_faces(v, frames[some], by=look.image_norm)
        if a is not None and sound is not None:
            added = torch.empty_like(a) if a is v else a
            write_spectrograms(added, sound[some], look=look)
            if a is v:
                a.add_(added)
        if strategy.shuffles_frames:
            for one, sequence, order in zip(
                x[some], ordered, places[some], strict=True
            ):
                torch.index_select(sequence, 1, order, out=one)
    return x
