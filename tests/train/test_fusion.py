"""Laws of the strategies: what lies where, whoever else is in the batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmder_train import fusion, options
from mmder_train.fusion import STRATEGIES, Look, fused, places_of

LOOK = Look(audio="mfcc", colour="viridis", scale="window")
IMAGENET = fusion.STATISTICS["imagenet"]
PLACES = places_of(["a", "b"], seed=0)
DRAWN = torch.Generator().manual_seed(0)


def pictures(frames: int, *, height: int = 224, start: int = 0) -> torch.Tensor:
    """Give pictures of two clips in which frame k is all of colour k + start."""
    value = torch.arange(start, start + frames, dtype=torch.uint8)
    return value.view(1, 1, -1, 1, 1).expand(2, 3, frames, height, 224).contiguous()


def colours(x: torch.Tensor) -> list[int]:
    """Read back the colour of each of the sixteen frames of the second clip."""
    red = x[1, 0, :, 0, 0] * IMAGENET.std_rgb[0] + IMAGENET.mean_rgb[0]
    return (red * 255).round().int().tolist()


def test_cfas_keeps_the_face_above_the_spectrogram() -> None:
    v, a = pictures(16, height=112), pictures(16, height=112, start=100)
    x = fusion.cfas(v, a, PLACES, IMAGENET)
    assert x.shape == (2, 3, 16, 224, 224)
    assert torch.equal(x[:, :, :, :112], fusion.normalised(v, IMAGENET))
    assert torch.equal(x[:, :, :, 112:], fusion.normalised(a, IMAGENET))


def test_sfas_adds_normalised_values_without_wrapping() -> None:
    v, a = pictures(16, start=200), pictures(16, start=220)
    x = fusion.sfas(v, a, PLACES, IMAGENET)
    assert torch.equal(x, fusion.sfas(a, v, PLACES, IMAGENET))
    torch.testing.assert_close(
        x, fusion.normalised(v, IMAGENET) + fusion.normalised(a, IMAGENET)
    )


def test_sequences_of_eight() -> None:
    v, a = pictures(8), pictures(8, start=100)
    faces, sounds = list(range(8)), list(range(100, 108))
    ffls = fusion.ffls(v, a, PLACES, IMAGENET)
    fslf = fusion.fslf(v, a, PLACES, IMAGENET)
    ofos = fusion.ofos(v, a, PLACES, IMAGENET)
    assert colours(ffls) == faces + sounds
    assert torch.equal(torch.roll(ffls, 8, dims=2), fslf)
    assert colours(ofos[:, :, ::2]) == faces
    assert colours(ofos[:, :, 1::2]) == sounds
    rfas = fusion.rfas(v, a, PLACES, IMAGENET)
    assert colours(rfas) == [(faces + sounds)[p] for p in PLACES[1].tolist()]


@settings(max_examples=20, deadline=None)
@given(
    names=st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True),
    seed=st.integers(0, 2**31),
)
def test_places_depend_on_seed_and_clip_alone(names: list[str], seed: int) -> None:
    places = places_of(names, seed=seed)
    assert torch.equal(
        places.sort(dim=1).values, torch.arange(16).expand(len(names), -1)
    )
    assert torch.equal(places.flip(0), places_of(names[::-1], seed=seed))
    assert torch.equal(places[1:2], places_of(names[1:2], seed=seed))


def test_places_differ_between_clips_seeds_and_epochs() -> None:
    drawn = [
        places_of(["a"], seed=0),
        places_of(["b"], seed=0),
        places_of(["a"], seed=1),
        places_of(["a"], seed=0, epoch=1),
    ]
    assert len({tuple(p[0].tolist()) for p in drawn}) == 4


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("audio", fusion.STORED)
def test_every_strategy_fills_the_encoder_from_what_a_store_holds(
    name: str, audio: str
) -> None:
    one = STRATEGIES[name]
    frames = sound = None
    if one.frames:
        frames = torch.randint(
            0, 256, (2, one.frames, 224, 224, 3), dtype=torch.uint8, generator=DRAWN
        )
    if one.windows:
        bands, times = 40 if audio == "mfcc" else 257, 41 if one.windows == 16 else 81
        sound = torch.randn((2, one.windows, bands, times), generator=DRAWN)
        sound = (sound * 20 - 40).half()
    look = Look(audio=audio, colour="viridis", scale="window")  # type: ignore[arg-type]
    x = fused(frames, sound, PLACES, strategy=one, look=look)
    assert x.shape == (2, 3, 16, 224, 224)
    assert x.isfinite().all()
    alone = fused(
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
    grey = Look(audio="stft", colour="grey", scale="window")
    picture = fusion.spectrogram_pictures(sound, look=grey)
    rows = picture[0, 0, 0].float().mean(dim=1)
    assert rows.argmax() == pytest.approx(224 * (1 - 15 / 257), abs=4)
    assert rows[:180].max() == 0


def test_time_runs_from_left_to_right() -> None:
    sound = torch.linspace(-80, 0, 41).expand(1, 16, 257, 41)
    grey = Look(audio="stft", colour="grey", scale="window")
    columns = fusion.spectrogram_pictures(sound, look=grey)[0, 0, 3, 100].int()
    assert (columns.diff() >= 0).all()
    assert columns[[0, -1]].tolist() == [0, 255]


def test_scale_per_window_and_per_clip() -> None:
    sound = torch.zeros(1, 16, 257, 41)
    sound[:, 0, 0], sound[:, 1, 0] = 20.0, 40.0
    looks = {s: replace(LOOK, audio="stft", scale=s) for s in ("window", "clip")}
    per_window = fusion.scaled(sound, look=looks["window"])
    per_clip = fusion.scaled(sound, look=looks["clip"])
    assert per_window[0, 0].max() == per_window[0, 1].max() == 1
    assert per_clip[0, 0].max() == 0.5


@pytest.mark.parametrize("audio", fusion.FIXED_DB)
def test_on_the_fixed_scale_equal_sound_has_equal_colours(audio: str) -> None:
    look = Look(audio=audio, colour="grey", scale="fixed")  # type: ignore[arg-type]
    first, last = fusion.FIXED_DB[audio]
    level = torch.linspace(first - 20, last + 20, 41).expand(1, 2, 40, 41)
    values = fusion.scaled(level, look=look)
    assert (values.diff() >= 0).all()
    assert values[0, 0, 0, [0, 20, -1]].tolist() == pytest.approx([0, 0.5, 1])
    louder = torch.cat([level, torch.full_like(level, 100.0)], dim=1)
    assert torch.equal(fusion.scaled(louder, look=look)[:, :2], values)


def test_silence_is_flat_and_its_rounding_noise_is_not_stretched() -> None:
    sound = -100 + 0.01 * torch.rand(1, 16, 257, 41, generator=DRAWN)
    grey = Look(audio="stft", colour="grey", scale="window")
    assert fusion.spectrogram_pictures(sound, look=grey).max() <= 3


def test_the_mfcc_picture_leaves_loudness_out() -> None:
    quiet = torch.randn(1, 16, 40, 41, generator=DRAWN)
    loud = quiet.clone()
    loud[:, :, 0] += 500
    painted = [fusion.spectrogram_pictures(s, look=LOOK) for s in (quiet, loud)]
    assert torch.equal(*painted)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050])
def test_mel_bands_are_librosas(rate_hz: int) -> None:
    import librosa

    theirs = librosa.filters.mel(sr=rate_hz, n_fft=512, n_mels=fusion.MELS, norm=1)
    bands = fusion.mel_bands(257, rate_hz)
    np.testing.assert_allclose(bands, theirs, atol=1e-5)


def test_an_even_spectrum_is_even_in_mel() -> None:
    level = torch.linspace(-80, 20, 41).expand(1, 2, 257, 41)
    found = fusion.mel(level, sample_rate_hz=16_000)
    torch.testing.assert_close(found, level[:, :, : fusion.MELS], atol=1e-3, rtol=1e-4)


def test_viridis_is_matplotlibs() -> None:
    from matplotlib import colormaps

    table = fusion.colour_table("viridis").numpy()
    expected = (255 * np.array(colormaps["viridis"](np.arange(256)))[:, :3]).round()
    assert np.abs(table.T - expected).max() <= 1
    assert (fusion.colour_table("grey").numpy() == np.arange(256)).all()


def test_half_height_averages_pairs_of_rows() -> None:
    frames = torch.zeros(1, 16, 224, 224, 3, dtype=torch.uint8)
    frames[:, :, ::2] = 255
    frames[:, :, 1::2] = 253
    assert (fusion.frame_pictures(frames, height_px=112) == 254).all()


def test_the_command_line_names_every_strategy() -> None:
    assert tuple(STRATEGIES) == options.STRATEGIES
