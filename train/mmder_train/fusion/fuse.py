"""Fuse stored frames and spectrograms into the encoder's input.

Pure functions on tensors, without file access. The axes of an input are clip, rgb,
frame, height and width. A whole batch is fused at once, on the device of its tensors.
``v`` and ``a`` are the paper's V and A. Frames stay 8-bit until they are normalized,
which takes a quarter of the memory of floats.
"""

from collections.abc import Sequence

import torch

from mmder_train.fusion.permutations import draw_permutations
from mmder_train.fusion.rendering import RenderSettings, write_faces, write_spectrograms
from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import (
    NUM_FRAMES,
    SIDE_PX,
    Frames,
    Input,
    Modality,
    OutputView,
    Permutation,
    Spectrograms,
)


def frame_permutations(
    clip_ids: Sequence[str], *, seed: int, epoch: int = 0
) -> Permutation:
    """Draw the RFAS frame order of each clip from the seed, the clip id and the epoch.

    The order of a clip does not depend on the other clips.
    """
    return torch.from_numpy(draw_permutations(clip_ids, seed=seed, epoch=epoch))


def fuse(
    frames: Frames | None,
    spectrograms: Spectrograms | None,
    permutations: Permutation,
    *,
    strategy: Strategy,
    settings: RenderSettings,
    dropped: Sequence[Modality | None] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Input:
    """Return the encoder's input X for a batch of stored clips.

    A dropped modality is zero after normalization, which is the mean color of
    `RenderSettings.image_norm`. Pre-training hides a whole modality in the same way if
    a token shows both. AV-HuBERT (arXiv 2201.02184, modality dropout) and ModDrop
    (arXiv 1501.00102) replace a dropped modality by zeros as well.

    Args:
        frames: As many frames as the strategy takes. None if it takes none.
        spectrograms: Spectrograms of the audio windows around the same instants. None
            if the strategy takes none.
        permutations: Order of the 16 frames of each clip. Only RFAS uses it.
        strategy: A row of `STRATEGIES`.
        settings: Colors of spectrograms, and normalization of all images.
        dropped: Modality that each clip lacks, or None per clip. None if no clip lacks
            one.
        dtype: Number format of X. Every value is computed in 32 bits, and rounded once.
    """
    stored = spectrograms if frames is None else frames
    assert stored is not None
    clips = len(stored)
    shape = clips, 3, NUM_FRAMES, SIDE_PX, SIDE_PX
    # Sums are rounded once, so a strategy that adds V and A is converted at the end.
    written = torch.float32 if strategy.adds else dtype
    x = torch.empty(shape, dtype=written, device=stored.device)
    # On a CPU, clips are fused one by one: intermediate values then fit its caches.
    # Clips do not depend on each other, so a GPU can take all of them at once.
    step = 1 if x.device.type == "cpu" else clips
    for start in range(0, clips, step):
        chunk = slice(start, start + step)
        ordered = torch.empty_like(x[chunk]) if strategy.shuffles_frames else x[chunk]
        v, a = strategy.layout(ordered)
        if v is not None and frames is not None:
            write_faces(v, frames[chunk], image_norm=settings.image_norm)
            _clear(v, dropped and dropped[chunk], "video")
        if a is not None and spectrograms is not None:
            rendered = torch.empty_like(a) if a is v else a
            write_spectrograms(rendered, spectrograms[chunk], settings=settings)
            _clear(rendered, dropped and dropped[chunk], "audio")
            if a is v:
                a.add_(rendered)
        if strategy.shuffles_frames:
            for out, sequence, order in zip(
                x[chunk], ordered, permutations[chunk], strict=True
            ):
                torch.index_select(sequence, 1, order, out=out)
    return x.to(dtype)


def _clear(
    view: OutputView, dropped: Sequence[Modality | None] | None, modality: Modality
) -> None:
    """Set a modality to zero in the clips that lack it."""
    clips = [i for i, name in enumerate(dropped or ()) if name == modality]
    if clips:
        view[clips] = 0
