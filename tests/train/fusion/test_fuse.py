"""Fused inputs equal the paper's equations, for each clip independent of its batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_fusion
from mmder_train import fusion
from mmder_train.fusion import (
    IMAGE_NORMS,
    STRATEGIES,
    RenderSettings,
    Strategy,
    frame_permutations,
    fuse,
)
from mmder_train.fusion.spectrogram_norms import SPECTROGRAM_NORMS
from mmder_train.fusion.spectrogram_planes import PLANES
from mmder_train.fusion.strategies import STORED_SPECTROGRAM
from mmder_train.fusion.types import Modality

PERMUTATIONS = frame_permutations(["a", "b"], seed=0)
GENERATOR = torch.Generator().manual_seed(0)


def stored_clips(
    strategy: Strategy, *, spectrogram: str, clips: int = 2
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Draw arrays that a store could hold, as many as the strategy takes."""
    frames = spectrograms = None
    if strategy.frames:
        size = (clips, strategy.frames, 224, 224, 3)
        frames = torch.randint(0, 256, size, dtype=torch.uint8, generator=GENERATOR)
    if strategy.windows:
        bands = 40 if spectrogram == "mfcc" else 257
        times = 41 if strategy.windows == 16 else 81
        noise = torch.randn(
            (clips, strategy.windows, bands, times), generator=GENERATOR
        )
        spectrograms = (noise * 20 - 40).half()
    return frames, spectrograms


def allowed_colormap(spectrogram: str, colormap: str) -> str:
    """Return the colormap, or gray if the spectrogram has three planes."""
    return colormap if len(PLANES[spectrogram]) == 1 else "gray"


def test_the_package_exports_its_public_names() -> None:
    assert all(getattr(fusion, name) is not None for name in fusion.__all__)


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=6, deadline=None)
@given(
    spectrogram=st.sampled_from(sorted(STORED_SPECTROGRAM)),
    colormap=st.sampled_from(["viridis", "gray"]),
    norm=st.sampled_from(sorted(SPECTROGRAM_NORMS)),
    image_norm=st.sampled_from(sorted(IMAGE_NORMS)),
)
def test_inputs_equal_the_equations_bit_for_bit(
    name: str, spectrogram: str, colormap: str, norm: str, image_norm: str
) -> None:
    strategy = STRATEGIES[name]
    frames, spectrograms = stored_clips(strategy, spectrogram=spectrogram)
    render_settings = RenderSettings(
        spectrogram=spectrogram,  # type: ignore[arg-type]
        colormap=allowed_colormap(spectrogram, colormap),  # type: ignore[arg-type]
        spectrogram_norm=norm,  # type: ignore[arg-type]
        image_norm=IMAGE_NORMS[image_norm],
    )
    x = fuse(
        frames,
        spectrograms,
        PERMUTATIONS,
        strategy=strategy,
        settings=render_settings,
    )
    expected = reference_fusion.fuse(
        frames, spectrograms, PERMUTATIONS, name, render_settings
    )
    assert torch.equal(x, expected)


@pytest.mark.parametrize("spectrogram", ["stft", "stft-mel-mfcc"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_value_is_rounded_once(name: str, spectrogram: str) -> None:
    """Also sums of faces and spectrograms, and in one color plane or three."""
    strategy = STRATEGIES[name]
    frames, spectrograms = stored_clips(strategy, spectrogram=spectrogram)
    render_settings = RenderSettings(
        spectrogram=spectrogram,  # type: ignore[arg-type]
        colormap=allowed_colormap(spectrogram, "viridis"),  # type: ignore[arg-type]
    )
    x, rounded = (
        fuse(
            frames,
            spectrograms,
            PERMUTATIONS,
            strategy=strategy,
            settings=render_settings,
            dtype=dtype,
        )
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, x.bfloat16())
    assert strategy.adds == (name == "sfas")


@settings(max_examples=20, deadline=None)
@given(
    names=st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True),
    seed=st.integers(0, 2**31),
)
def test_frame_orders_depend_only_on_seed_and_clip(names: list[str], seed: int) -> None:
    orders = frame_permutations(names, seed=seed)
    assert torch.equal(
        orders.sort(dim=1).values, torch.arange(16).expand(len(names), -1)
    )
    assert torch.equal(orders.flip(0), frame_permutations(names[::-1], seed=seed))
    assert torch.equal(orders[1:2], frame_permutations(names[1:2], seed=seed))


def test_frame_orders_differ_between_clips_seeds_and_epochs() -> None:
    orders = [
        frame_permutations(["a"], seed=0),
        frame_permutations(["b"], seed=0),
        frame_permutations(["a"], seed=1),
        frame_permutations(["a"], seed=0, epoch=1),
    ]
    assert len({tuple(order[0].tolist()) for order in orders}) == 4


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("spectrogram", STORED_SPECTROGRAM)
def test_every_strategy_fills_the_input_from_stored_arrays(
    name: str, spectrogram: str
) -> None:
    strategy = STRATEGIES[name]
    frames, spectrograms = stored_clips(strategy, spectrogram=spectrogram)
    render_settings = RenderSettings(
        spectrogram=spectrogram,  # type: ignore[arg-type]
        colormap=allowed_colormap(spectrogram, "viridis"),  # type: ignore[arg-type]
        spectrogram_norm="window",
    )
    x = fuse(
        frames,
        spectrograms,
        PERMUTATIONS,
        strategy=strategy,
        settings=render_settings,
    )
    assert x.shape == (2, 3, 16, 224, 224)
    assert x.isfinite().all()
    second_clip = fuse(
        None if frames is None else frames[1:],
        None if spectrograms is None else spectrograms[1:],
        PERMUTATIONS[1:],
        strategy=strategy,
        settings=render_settings,
    )
    assert torch.equal(second_clip, x[1:])


@pytest.mark.parametrize("name", ["cfas", "sfas", "ffls", "fslf", "ofos", "rfas"])
def test_a_dropped_modality_is_zero_and_the_other_is_unchanged(name: str) -> None:
    """The inputs without each modality add up to the whole input, clip by clip."""
    strategy = STRATEGIES[name]
    frames, spectrograms = stored_clips(strategy, spectrogram="stft")

    def without(*dropped: Modality | None) -> torch.Tensor:
        return fuse(
            frames,
            spectrograms,
            PERMUTATIONS,
            strategy=strategy,
            settings=RenderSettings(),
            dropped=dropped,
        )

    whole = without(None, None)
    no_video, no_audio = without("video", "video"), without("audio", "audio")
    torch.testing.assert_close(no_video + no_audio, whole)
    shown = torch.zeros_like(whole)
    _, a = strategy.layout(shown)
    assert a is not None
    a += 1
    if strategy.shuffles_frames:
        for clip, order in zip(shown, PERMUTATIONS, strict=True):
            clip.copy_(clip[:, order])
    if name != "sfas":
        assert (no_audio[shown > 0] == 0).all()
        assert (no_video[shown == 0] == 0).all()
    mixed = without("audio", None)
    assert torch.equal(mixed[0], no_audio[0])
    assert torch.equal(mixed[1], whole[1])
