"""Training loop: failed steps, model selection and early stopping."""

import re
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mmder_store.errors import MmderError
from mmder_train.models.videomae import Head
from mmder_train.runtime.progress import silent
from mmder_train.training.trainer import FitPlan, StepBatch, fit
from tiny_training import make_state, split_clips


def make_plan(x: torch.Tensor, labels: torch.Tensor, **fields: Any) -> FitPlan:
    """Return a plan with steps of two clips."""

    def epoch_batches(_: int, first_step: int) -> Iterator[StepBatch]:
        for k in range(2 * first_step, len(x), 2):
            index = torch.arange(k, k + 2)
            yield StepBatch(
                index=index,
                clips=2,
                split=lambda n, i=index: split_clips(x[i], labels[i], n),  # type: ignore[misc]
            )

    names = [f"clip-{i}" for i in range(len(x))]
    return FitPlan(
        epoch_batches=epoch_batches,
        steps_per_epoch=len(x) // 2,
        clip_ids=names,
        **fields,
    )


def test_a_loss_that_is_not_finite_names_the_step_and_the_clips() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    x[3] = float("nan")
    state = make_state(Head(8, 3))
    text = r"step 2: the loss is nan, with clips clip-2, clip-3\. A smaller --lr"
    with pytest.raises(MmderError, match=text):
        fit(state, make_plan(x, labels, epochs=2), progress=silent())
    assert all(p.isfinite().all() for p in state.model.parameters())


class LimitedModel(torch.nn.Module):
    """A model that runs out of memory with more than some clips at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.head = most, Head(8, 3)
        self.activations: weakref.ref[torch.Tensor] | None = None
        self.held: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.activations is not None:
            self.held.append(self.activations() is not None)
        activations = 2 * x
        self.activations = weakref.ref(activations)
        if len(x) > self.most:
            # Fails as every allocation of torch that does not fit.
            torch.empty(2**62, dtype=torch.uint8)
        return self.head(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("most", "text"),
    [
        (
            1,
            "out of memory: 2 clips at once do not fit, 1 do. "
            "Use --grad-accum-steps 2.",
        ),
        (
            0,
            "2 clips at once do not fit, and neither does one. "
            "Use --checkpoint-activations",
        ),
    ],
)
def test_out_of_memory_names_the_micro_batches_that_fit(most: int, text: str) -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    plan = make_plan(x, labels, epochs=1)
    with pytest.raises(MmderError, match=re.escape(text)):
        fit(make_state(LimitedModel(most)), plan, progress=silent())


def test_out_of_memory_frees_the_failed_step_before_smaller_ones_are_tried() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    model = LimitedModel(1)
    with pytest.raises(MmderError, match="1 do"):
        fit(make_state(model), make_plan(x, labels, epochs=1), progress=silent())
    assert model.held
    assert not any(model.held)


def test_validation_selects_the_epoch_and_patience_stops_early() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    scores = iter([0.2, 0.5, 0.5, 0.4, 0.9])
    weights = []

    def validate(model: torch.nn.Module) -> dict[str, float]:
        weights.append({k: t.clone() for k, t in model.state_dict().items()})
        return {"val_uar": next(scores)}

    state = make_state(Head(8, 3))
    plan = make_plan(x, labels, epochs=5, validate=validate, patience=2)
    fit(state, plan, progress=silent())
    assert [row["val_uar"] for row in state.history] == [0.2, 0.5, 0.5, 0.4]
    for name, tensor in state.eval_model.state_dict().items():
        assert torch.equal(tensor, weights[1][name])
