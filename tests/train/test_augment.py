"""What may change in a sound, and what stays."""

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
LOOK = RenderSettings(spectrogram="stft", colormap="gray", spectrogram_norm="fixed")
FACES = torch.randint(
    0, 256, (3, 2, 224, 224, 3), dtype=torch.uint8, generator=torch.manual_seed(0)
)
ALL = replace(AUGMENTATIONS["all"], mask=0.3)


def windows_of(clip: torch.Tensor, count: int, columns: int) -> torch.Tensor:
    """Cut a clip's spectrogram into windows that overlap by half, as a store has."""
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


def test_no_value_is_new_but_by_the_gain() -> None:
    torch.manual_seed(0)
    found = augmentation.augment(STFT)
    for one, was in zip(found, STFT, strict=True):
        assert one.max() <= was.max() + augmentation.GAIN_DB
        assert one.min() >= was.min() - augmentation.GAIN_DB


def test_each_clip_is_varied_alone_and_by_the_seed() -> None:
    same = STFT[:1].expand(3, -1, -1, -1)
    torch.manual_seed(0)
    first, again = augmentation.augment(same), augmentation.augment(same)
    torch.manual_seed(0)
    assert torch.equal(augmentation.augment(same), first)
    assert not torch.equal(first, again)
    gains = (first - same).mean(dim=(1, 2, 3))
    assert gains.abs().max() <= augmentation.GAIN_DB + 0.1
    assert len(set(gains.tolist())) == 3


def test_silence_differs_by_its_gain_alone() -> None:
    silence = torch.full((2, 16, 257, 41), -100.0)
    for clip in augmentation.augment(silence):
        assert clip.min().item() == pytest.approx(clip.max().item())


def test_zero_strength_gives_back_what_it_got() -> None:
    state = torch.get_rng_state()
    assert AUGMENTATIONS["none"] == Augmentation()
    frames, sound = Augmentation().vary(FACES, STFT, look=LOOK)
    assert frames is FACES
    assert sound is STFT
    assert Augmentation().vary(None, None, look=LOOK) == (None, None)
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_seed_decides_all(seed: int) -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(seed)
        found.append(ALL.vary(FACES, STFT, look=LOOK))
    for first, again in zip(*found, strict=True):
        assert first is not None
        assert again is not None
        assert torch.equal(first, again)


def test_what_is_for_faces_never_touches_sound() -> None:
    one = replace(AUGMENTATIONS["picture"], flip=1.0)
    frames, sound = one.vary(FACES, STFT, look=LOOK)
    assert sound is STFT
    assert frames is not None
    assert not torch.equal(frames, FACES)
    frames, sound = AUGMENTATIONS["sound"].vary(FACES, STFT, look=LOOK)
    assert frames is FACES
    assert not torch.equal(sound, STFT)  # type: ignore[arg-type]


@pytest.mark.parametrize("audio", strategies.STORED_SPECTROGRAM)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    share=st.floats(0.01, 0.5),
    shape=st.sampled_from([(16, 41), (8, 81)]),
)
def test_masks_hide_the_same_of_all_windows(
    audio: str, seed: int, share: float, shape: tuple[int, int]
) -> None:
    count, columns = shape
    rows = 40 if audio == "mfcc" else 257
    torch.manual_seed(seed)
    clips = torch.randn(2, rows, (count + 1) * (columns // 2) + 1) * 20 - 40
    sound = torch.stack([windows_of(c, count, columns) for c in clips]).half()
    look = replace(LOOK, spectrogram=audio)  # type: ignore[arg-type]

    def masked(given: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(seed)
        return augmentation.mask_spectrograms(given, share=share, look=look)

    found, other = masked(sound), masked(sound.flip(0))
    # A value may be the mean that hides it; not in both clips.
    hidden = (found != sound) | (other != sound.flip(0))
    for clip, now, was in zip(hidden, found, sound, strict=True):
        # Rows are hidden in every window or in none, instants likewise.
        rows_out = clip.all(2).all(0)
        time_out = clip[:, ~rows_out].all(1)
        again = torch.zeros(clips.shape[2], dtype=torch.bool)
        for k, window in enumerate(time_out):
            again[k * (columns // 2) :][:columns] |= window
        assert torch.equal(windows_of(again[None], count, columns)[:, 0], time_out)
        assert torch.equal(clip, rows_out[None, :, None] | time_out[:, None])
        assert time_out.float().mean() <= 2 * share + 0.05
        if audio != "mel":
            assert rows_out.float().mean() <= 2 * share + 2 / rows
        # No scale of colours gets wider.
        for window, before in zip(now[:, 1:], was[:, 1:], strict=True):
            assert before.min() <= window.min()
            assert window.max() <= before.max()


def test_masks_of_mel_are_drawn_on_its_scale() -> None:
    sound = torch.randn(200, 1, 257, 5) * 20 - 40
    most = {}
    for audio in ("mel", "stft"):
        look = replace(LOOK, spectrogram=audio)
        torch.manual_seed(0)
        found = augmentation.mask_spectrograms(sound, share=0.2, look=look)
        hidden = (found != sound).all(3)[:, 0].float()
        bands = mel.mel_bands(257, 16_000) @ hidden.T
        most[audio] = bands.mean(0).max()
    # Two masks of a fifth; a fifth of the bins can be most of the bands.
    assert 0.3 < most["mel"] < 0.42 < most["stft"]
