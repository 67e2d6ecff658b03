"""Laws of the strategies: what lies where, whoever else is in the batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_fusion
from mmder_train.cli import options
from mmder_train.fusion import mel, rendering, strategies
from mmder_train.fusion.fuse import frame_permutations, fuse
from mmder_train.fusion.rendering import RenderSettings
from mmder_train.fusion.strategies import STRATEGIES, Strategy

LOOK = RenderSettings(spectrogram="mfcc", colormap="viridis", spectrogram_norm="window")
PLACES = frame_permutations(["a", "b"], seed=0)
DRAWN = torch.Generator().manual_seed(0)


def numbered() -> torch.Tensor:
    """Give an input in which every frame k of two clips is filled with k."""
    frame = torch.arange(16.0).view(1, 1, -1, 1, 1)
    return frame.expand(2, 3, 16, 224, 224).contiguous()


def stored(
    one: Strategy, *, audio: str, clips: int = 2
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Draw what a store could hold of clips, as many as the strategy takes."""
    frames = sound = None
    if one.frames:
        size = (clips, one.frames, 224, 224, 3)
        frames = torch.randint(0, 256, size, dtype=torch.uint8, generator=DRAWN)
    if one.windows:
        bands, times = 40 if audio == "mfcc" else 257, 41 if one.windows == 16 else 81
        sound = torch.randn((clips, one.windows, bands, times), generator=DRAWN)
        sound = (sound * 20 - 40).half()
    return frames, sound


def picture(sound: torch.Tensor, audio: str) -> torch.Tensor:
    """Give the grey values of each window."""
    look = RenderSettings(spectrogram=audio, colormap="gray", spectrogram_norm="window")  # type: ignore[arg-type]
    return rendering.to_rgb_values(sound, look=look)


def test_where_faces_and_spectrograms_lie() -> None:
    shown = {
        name: [
            None if part is None else (part[0, 0, :, 0, 0].int().tolist(), *part.shape)
            for part in STRATEGIES[name].layout(numbered())
        ]
        for name in STRATEGIES
    }
    every, low, high = list(range(16)), list(range(8)), list(range(8, 16))
    whole, half = (2, 3, 16, 224, 224), (2, 3, 8, 224, 224)
    assert shown == {
        "cfas": [(every, 2, 3, 16, 112, 224)] * 2,
        "sfas": [(every, *whole)] * 2,
        "ffls": [(low, *half), (high, *half)],
        "fslf": [(high, *half), (low, *half)],
        "ofos": [(every[::2], *half), (every[1::2], *half)],
        "rfas": [(low, *half), (high, *half)],
        "video": [(every, *whole), None],
        "audio": [None, (every, *whole)],
    }


def test_cfas_keeps_the_face_above() -> None:
    x = torch.zeros(1, 3, 16, 224, 224)
    v, _ = strategies.cfas(x)
    v.fill_(1)
    assert x[:, :, :, :112].min() == 1
    assert x[:, :, :, 112:].max() == 0


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=6, deadline=None)
@given(
    audio=st.sampled_from(sorted(strategies.STORED_SPECTROGRAM)),
    colour=st.sampled_from(["viridis", "gray"]),
    scale=st.sampled_from(["window", "clip", "fixed"]),
    statistics=st.sampled_from(sorted(rendering.IMAGE_NORMS)),
)
def test_equal_to_the_equations_bit_by_bit(
    name: str, audio: str, colour: str, scale: str, statistics: str
) -> None:
    one = STRATEGIES[name]
    frames, sound = stored(one, audio=audio)
    look = RenderSettings(
        spectrogram=audio,  # type: ignore[arg-type]
        colormap=colour,  # type: ignore[arg-type]
        spectrogram_norm=scale,  # type: ignore[arg-type]
        image_norm=rendering.IMAGE_NORMS[statistics],
    )
    x = fuse(frames, sound, PLACES, strategy=one, look=look)
    assert torch.equal(x, reference_fusion.fused(frames, sound, PLACES, name, look))


@settings(max_examples=20, deadline=None)
@given(
    names=st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True),
    seed=st.integers(0, 2**31),
)
def test_places_depend_on_seed_and_clip_alone(names: list[str], seed: int) -> None:
    places = frame_permutations(names, seed=seed)
    assert torch.equal(
        places.sort(dim=1).values, torch.arange(16).expand(len(names), -1)
    )
    assert torch.equal(places.flip(0), frame_permutations(names[::-1], seed=seed))
    assert torch.equal(places[1:2], frame_permutations(names[1:2], seed=seed))


def test_places_differ_between_clips_seeds_and_epochs() -> None:
    drawn = [
        frame_permutations(["a"], seed=0),
        frame_permutations(["b"], seed=0),
        frame_permutations(["a"], seed=1),
        frame_permutations(["a"], seed=0, epoch=1),
    ]
    assert len({tuple(p[0].tolist()) for p in drawn}) == 4


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("audio", strategies.STORED_SPECTROGRAM)
def test_every_strategy_fills_the_encoder_from_what_a_store_holds(
    name: str, audio: str
) -> None:
    one = STRATEGIES[name]
    frames, sound = stored(one, audio=audio)
    look = RenderSettings(
        spectrogram=audio,  # type: ignore[arg-type]
        colormap="viridis",
        spectrogram_norm="window",
    )
    x = fuse(frames, sound, PLACES, strategy=one, look=look)
    assert x.shape == (2, 3, 16, 224, 224)
    assert x.isfinite().all()
    alone = fuse(
        None if frames is None else frames[1:],
        None if sound is None else sound[1:],
        PLACES[1:],
        strategy=one,
        look=look,
    )
    assert torch.equal(alone, x[1:])


def test_low_frequencies_are_at_the_bottom() -> None:
    sound = torch.full((1, 16, 257, 41), -100.0)
    sound[:, :, 10:20] = 0.0
    rows = picture(sound, "stft")[0, 0].mean(dim=1)
    assert rows.argmax() == pytest.approx(224 * (1 - 15 / 257), abs=4)
    assert rows[:180].max() == 0


def test_time_runs_from_left_to_right() -> None:
    sound = torch.linspace(-80, 0, 41).expand(1, 16, 257, 41)
    columns = picture(sound, "stft")[0, 3, 100]
    assert (columns.diff() >= 0).all()
    assert columns[[0, -1]].tolist() == [0, 255]


def test_scale_per_window_and_per_clip() -> None:
    sound = torch.zeros(1, 16, 257, 41)
    sound[:, 0, 0], sound[:, 1, 0] = 20.0, 40.0
    looks = {
        s: replace(LOOK, spectrogram="stft", spectrogram_norm=s)
        for s in ("window", "clip")
    }
    per_window = rendering.normalize_db(sound, look=looks["window"])
    per_clip = rendering.normalize_db(sound, look=looks["clip"])
    assert per_window[0, 0].max() == per_window[0, 1].max() == 1
    assert per_clip[0, 0].max() == 0.5


@pytest.mark.parametrize("audio", rendering.FIXED_DB)
def test_on_the_fixed_scale_equal_sound_has_equal_colours(audio: str) -> None:
    look = RenderSettings(spectrogram=audio, colormap="gray", spectrogram_norm="fixed")  # type: ignore[arg-type]
    first, last = rendering.FIXED_DB[audio]
    level = torch.linspace(first - 20, last + 20, 41).expand(1, 2, 40, 41)
    values = rendering.normalize_db(level, look=look)
    assert (values.diff() >= 0).all()
    assert values[0, 0, 0, [0, 20, -1]].tolist() == pytest.approx([0, 0.5, 1])
    louder = torch.cat([level, torch.full_like(level, 100.0)], dim=1)
    assert torch.equal(rendering.normalize_db(louder, look=look)[:, :2], values)


def test_silence_is_flat_and_its_rounding_noise_is_not_stretched() -> None:
    sound = -100 + 0.01 * torch.rand(1, 16, 257, 41, generator=DRAWN)
    assert picture(sound, "stft").max() <= 3


def test_the_mfcc_picture_leaves_loudness_out() -> None:
    quiet = torch.randn(1, 16, 40, 41, generator=DRAWN)
    loud = quiet.clone()
    loud[:, :, 0] += 500
    assert torch.equal(picture(quiet, "mfcc"), picture(loud, "mfcc"))


@pytest.mark.parametrize("rate_hz", [16_000, 22_050])
def test_mel_bands_are_librosas(rate_hz: int) -> None:
    import librosa

    theirs = librosa.filters.mel(sr=rate_hz, n_fft=512, n_mels=mel.MELS, norm=1)
    bands = mel.mel_bands(257, rate_hz)
    np.testing.assert_allclose(bands, theirs, atol=1e-5)


def test_an_even_spectrum_is_even_in_mel() -> None:
    level = torch.linspace(-80, 20, 41).expand(1, 2, 257, 41)
    found = mel.mel(level, sample_rate_hz=16_000)
    torch.testing.assert_close(found, level[:, :, : mel.MELS], atol=1e-3, rtol=1e-4)


def test_viridis_is_matplotlibs() -> None:
    from matplotlib import colormaps

    table = rendering.colormap_table("viridis").numpy()
    expected = (255 * np.array(colormaps["viridis"](np.arange(256)))[:, :3]).round()
    assert np.abs(table.T - expected).max() <= 1
    assert (rendering.colormap_table("gray").numpy() == np.arange(256)).all()


def test_half_height_averages_pairs_of_rows() -> None:
    frames = torch.zeros(1, 16, 224, 224, 3, dtype=torch.uint8)
    frames[:, :, ::2] = 255
    frames[:, :, 1::2] = 253
    x = torch.empty(1, 3, 16, 112, 224)
    rendering.write_faces(x, frames, by=rendering.IMAGE_NORMS["none"])
    assert torch.equal(x, torch.full_like(x, 254) * torch.tensor(1 / 255))


def test_the_command_line_names_every_strategy() -> None:
    assert tuple(STRATEGIES) == options.STRATEGIES
