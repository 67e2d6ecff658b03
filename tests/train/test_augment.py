"""What may change in a sound, and what stays."""

import pytest
import torch

from mmder_train import augment

STFT = torch.randn(3, 16, 257, 41, generator=torch.Generator().manual_seed(0))
FACTOR = torch.tensor([0.9, 1.0, 1.1])


def test_frequencies_are_multiplied() -> None:
    tone = torch.full((3, 2, 257, 5), -80.0)
    tone[:, :, 100] = 0.0
    loudest = augment.warped(tone, factor=FACTOR).argmax(dim=2)
    assert [set(clip.flatten().tolist()) for clip in loudest] == [{90}, {100}, {110}]


def test_a_factor_of_one_changes_nothing() -> None:
    assert torch.equal(augment.warped(STFT, factor=torch.ones(3)), STFT)


def test_windows_and_times_keep_their_order() -> None:
    whole = augment.warped(STFT, factor=FACTOR)
    part = augment.warped(STFT[:, 4:6, :, 7:9], factor=FACTOR)
    torch.testing.assert_close(whole[:, 4:6, :, 7:9], part)


def test_no_value_is_new_but_by_the_gain() -> None:
    torch.manual_seed(0)
    found = augment.varied(STFT)
    for one, was in zip(found, STFT, strict=True):
        assert one.max() <= was.max() + augment.GAIN_DB
        assert one.min() >= was.min() - augment.GAIN_DB


def test_each_clip_is_varied_alone_and_by_the_seed() -> None:
    same = STFT[:1].expand(3, -1, -1, -1)
    torch.manual_seed(0)
    first, again = augment.varied(same), augment.varied(same)
    torch.manual_seed(0)
    assert torch.equal(augment.varied(same), first)
    assert not torch.equal(first, again)
    gains = (first - same).mean(dim=(1, 2, 3))
    assert gains.abs().max() <= augment.GAIN_DB + 0.1
    assert len(set(gains.tolist())) == 3


def test_silence_differs_by_its_gain_alone() -> None:
    silence = torch.full((2, 16, 257, 41), -100.0)
    for clip in augment.varied(silence):
        assert clip.min().item() == pytest.approx(clip.max().item())
