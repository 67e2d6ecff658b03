"""Optimizer steps: losses, micro-batches, gradient clipping and EMA."""

import pytest
import torch
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]

from mmder_train.models.classifier import Classifier
from mmder_train.models.videomae import Encoder, Head, Size
from tiny_training import make_state, split_clips


def test_steps_on_a_few_clips_reduce_the_loss() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    state = make_state(Head(8, 3))
    losses = [
        state.train_step(split_clips(features, labels), clips=4) or 0.0
        for _ in range(60)
    ]
    assert losses[-1] < 0.1 < losses[0]
    assert state.step == 60


def test_steps_through_the_encoder_reduce_the_loss() -> None:
    torch.manual_seed(0)
    model = Classifier(Encoder(Size(dim=24, depth=1, heads=1)), Head(24, 2))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    clips = torch.stack([torch.zeros(3, 16, 224, 224), torch.ones(3, 16, 224, 224)])
    state = make_state(model)
    labels = torch.tensor([0, 1])
    losses = [
        state.train_step(split_clips(clips, labels), clips=2) or 0.0 for _ in range(12)
    ]
    assert losses[-1] < losses[0] / 2
    unchanged = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert unchanged == []


def test_micro_batches_have_the_gradients_of_the_whole_batch() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    outcomes = []
    for number in (1, 2, 3, 6):
        torch.manual_seed(0)
        state = make_state(Head(8, 3), label_smoothing=0.1)
        losses = [
            state.train_step(split_clips(x, labels, number), clips=6) for _ in range(5)
        ]
        outcomes.append((losses, state.model.state_dict()))
    for losses, weights in outcomes[1:]:
        assert losses == pytest.approx(outcomes[0][0], rel=1e-5)
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, outcomes[0][1][name])


@pytest.mark.parametrize("mixed", [False, True])
def test_losses_are_weighted_by_class(mixed: bool) -> None:
    """The mean over clips, of the weighted sum over the classes of each target."""
    torch.manual_seed(0)
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    weight = torch.tensor([0.5, 1.5, 3.0])
    smooth = torch.full((6, 3), 0.1 / 3)
    smooth[torch.arange(6), labels] += 0.9
    head = Head(8, 3)
    expected = -(weight * smooth * head(x).log_softmax(1)).sum() / 6
    (gradient,) = torch.autograd.grad(expected, head.head.weight)
    for number in (1, 3):
        torch.manual_seed(0)
        torch.randn(6, 8)
        smoothing = 0.0 if mixed else 0.1
        state = make_state(Head(8, 3), class_weight=weight, label_smoothing=smoothing)
        target = smooth if mixed else labels
        loss = state.train_step(split_clips(x, target, number), clips=6)
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        assert isinstance(state.model, Head)
        torch.testing.assert_close(state.model.head.weight.grad, gradient)


def test_gradients_are_clipped_to_the_maximum_norm() -> None:
    x, labels = 100 * torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    state = make_state(Head(8, 3), clip_grad=0.01)
    state.train_step(split_clips(x, labels), clips=4)
    grads = [p.grad for p in state.model.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in grads]))
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_ema_weights_are_the_evaluated_model() -> None:
    torch.manual_seed(0)
    head = Head(8, 3)
    state = make_state(head, ema=ModelEmaV3(head, decay=0.5))
    x, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    mean = head.head.weight.detach().clone()
    for step in range(5):
        state.train_step(split_clips(x, labels), clips=4)
        # The mean starts with the second step, not with the random initial weights.
        fraction = 0.5 if step > 1 else 0.0
        mean = fraction * mean + (1 - fraction) * head.head.weight.detach()
    assert isinstance(state.eval_model, Head)
    torch.testing.assert_close(state.eval_model.head.weight, mean)
    assert not torch.equal(mean, head.head.weight)
