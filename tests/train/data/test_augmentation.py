"""Augmentation of audio: changes within the limits, and properties that it keeps."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmder_train.data import augmentation
from mmder_train.data.augmentation import AUGMENTATIONS, Augmentation
from mmder_train.fusion import mel, strategies
from mmder_train.fusion.rendering import RenderSettings

STFT = torch.randn(3, 16, 257, 41, generator=torch.Generator().manual_seed(0))
FACTOR = torch.tensor([0.9, 1.0, 1.1])
SETTINGS = RenderSettings(spectrogram="stft", colormap="gray", spectrogram_norm="fixed")
FACES = torch.randint(
    0, 256, (3, 2, 224, 224, 3), dtype=torch.uint8, generator=torch.manual_seed(0)
)
ALL = replace(AUGMENTATIONS["all"], mask=0.3)


def windows_of(clip: torch.Tensor, count: int, columns: int) -> torch.Tensor:
    """Cut a clip's spectrogram into windows that overlap by half, as in a store."""
    return clip.unfold(1, columns, (columns - 1) // 2)[:, :count].transpose(0, 1)


def test_frequencies_are_multiplied() -> None:
    tone = torch.full((3, 2, 257, 5), -80.0)
    tone[:, :, 100] = 0.0
    loudest = augmentation.warp_frequencies(tone, factor=FACTOR).argmax(dim=2)
    assert [set(clip.flatten().tolist()) for clip in loudest] == [{90}, {100}, {110}]


def test_a_factor_of_one_changes_nothing() -> None:
    assert torch.equal(augmentation.warp_frequencies(STFT, factor=torch.ones(3)), STFT)


def test_windows_and_times_keep_their_order() -> None:
    whole = augmentation.warp_frequencies(STFT, factor=FACTOR)
    part = augmentation.warp_frequencies(STFT[:, 4:6, :, 7:9], factor=FACTOR)
    torch.testing.assert_close(whole[:, 4:6, :, 7:9], part)


def test_only_the_gain_extends_the_range_of_values() -> None:
    torch.manual_seed(0)
    augmented = augmentation.augment(STFT)
    for after, before in zip(augmented, STFT, strict=True):
        assert after.max() <= before.max() + augmentation.GAIN_DB
        assert after.min() >= before.min() - augmentation.GAIN_DB


def test_each_clip_is_changed_separately_and_by_the_seed() -> None:
    same = STFT[:1].expand(3, -1, -1, -1)
    torch.manual_seed(0)
    first, second = augmentation.augment(same), augmentation.augment(same)
    torch.manual_seed(0)
    assert torch.equal(augmentation.augment(same), first)
    assert not torch.equal(first, second)
    gains = (first - same).mean(dim=(1, 2, 3))
    assert gains.abs().max() <= augmentation.GAIN_DB + 0.1
    assert len(set(gains.tolist())) == 3


def test_only_the_gain_changes_silence() -> None:
    silence = torch.full((2, 16, 257, 41), -100.0)
    for clip in augmentation.augment(silence):
        assert clip.min().item() == pytest.approx(clip.max().item())


def test_zero_strength_changes_nothing() -> None:
    state = torch.get_rng_state()
    assert AUGMENTATIONS["none"] == Augmentation()
    frames, spectrograms = Augmentation().apply(FACES, STFT, settings=SETTINGS)
    assert frames is FACES
    assert spectrograms is STFT
    assert Augmentation().apply(None, None, settings=SETTINGS) == (None, None)
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_seed_determines_the_result(seed: int) -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(seed)
        results.append(ALL.apply(FACES, STFT, settings=SETTINGS))
    for first, second in zip(*results, strict=True):
        assert first is not None
        assert second is not None
        assert torch.equal(first, second)


def test_video_and_audio_are_augmented_independently() -> None:
    only_video = replace(AUGMENTATIONS["video"], flip=1.0)
    frames, spectrograms = only_video.apply(FACES, STFT, settings=SETTINGS)
    assert spectrograms is STFT
    assert frames is not None
    assert not torch.equal(frames, FACES)
    only_audio = AUGMENTATIONS["audio"]
    frames, spectrograms = only_audio.apply(FACES, STFT, settings=SETTINGS)
    assert frames is FACES
    assert not torch.equal(spectrograms, STFT)  # type: ignore[arg-type]


@pytest.mark.parametrize("spectrogram", strategies.STORED_SPECTROGRAM)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    fraction=st.floats(0.01, 0.5),
    shape=st.sampled_from([(16, 41), (8, 81)]),
)
def test_masks_hide_the_same_in_all_windows(
    spectrogram: str, seed: int, fraction: float, shape: tuple[int, int]
) -> None:
    count, columns = shape
    rows = 40 if spectrogram == "mfcc" else 257
    torch.manual_seed(seed)
    clips = torch.randn(2, rows, (count + 1) * (columns // 2) + 1) * 20 - 40
    stored = torch.stack([windows_of(c, count, columns) for c in clips]).half()
    render_settings = replace(SETTINGS, spectrogram=spectrogram)  # type: ignore[arg-type]

    def mask(spectrograms: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(seed)
        return augmentation.mask_spectrograms(
            spectrograms, fraction=fraction, settings=render_settings
        )

    masked, swapped = mask(stored), mask(stored.flip(0))
    # A hidden value may equal the mean that replaces it, but not in both clips.
    hidden = (masked != stored) | (swapped != stored.flip(0))
    for clip, after, before in zip(hidden, masked, stored, strict=True):
        # A row is hidden in all windows or in none, and so is an instant.
        hidden_rows = clip.all(2).all(0)
        hidden_times = clip[:, ~hidden_rows].all(1)
        instants = torch.zeros(clips.shape[2], dtype=torch.bool)
        for k, window in enumerate(hidden_times):
            instants[k * (columns // 2) :][:columns] |= window
        expected_times = windows_of(instants[None], count, columns)[:, 0]
        assert torch.equal(expected_times, hidden_times)
        assert torch.equal(clip, hidden_rows[None, :, None] | hidden_times[:, None])
        assert hidden_times.float().mean() <= 2 * fraction + 0.05
        if spectrogram != "mel":
            assert hidden_rows.float().mean() <= 2 * fraction + 2 / rows
        # The range of colors never becomes wider.
        for window_after, window in zip(after[:, 1:], before[:, 1:], strict=True):
            assert window.min() <= window_after.min()
            assert window_after.max() <= window.max()


def test_mel_masks_are_drawn_on_the_mel_scale() -> None:
    stft = torch.randn(200, 1, 257, 5) * 20 - 40
    most_hidden = {}
    for spectrogram in ("mel", "stft"):
        render_settings = replace(SETTINGS, spectrogram=spectrogram)
        torch.manual_seed(0)
        masked = augmentation.mask_spectrograms(
            stft, fraction=0.2, settings=render_settings
        )
        hidden = (masked != stft).all(3)[:, 0].float()
        bands = mel.mel_bands(257, 16_000) @ hidden.T
        most_hidden[spectrogram] = bands.mean(0).max()
    # Two masks of a fifth; a fifth of the bins can be most of the bands.
    assert 0.3 < most_hidden["mel"] < 0.42 < most_hidden["stft"]
