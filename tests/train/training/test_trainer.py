"""Training loop: failed steps, model selection and early stopping."""

import re
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmder_store.errors import MmderError
from mmder_train.models.videomae import Head
from mmder_train.runtime.progress import silent
from mmder_train.runtime.signals import StopRequest
from mmder_train.training.checkpoint import Checkpoint
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


def test_a_deferred_check_names_the_same_step_and_saves_nothing(
    tmp_path: Path,
) -> None:
    """On a GPU the loss of a step is read during the next one."""
    x, labels = torch.randn(8, 8), torch.tensor([0, 1, 2, 0, 1, 1, 0, 2])
    for bad in (3, 7):  # 7: in the last step of an epoch
        clips = x.clone()
        clips[bad] = float("nan")
        for save_every_s in (0.0, 1e9):
            checkpoint = Checkpoint(
                path=tmp_path / f"{bad}-{save_every_s}",
                identity={},
                save_every_s=save_every_s,
                stop_request=StopRequest(),
            )
            step = bad // 2
            text = f"step {step + 1}: the loss is nan, with clips clip-{bad - 1}, clip-"
            with pytest.raises(MmderError, match=text):
                fit(
                    make_state(Head(8, 3), defer_loss_check=True),
                    make_plan(clips, labels, epochs=2),
                    progress=silent(),
                    checkpoint=checkpoint,
                )
            saved = list(tmp_path.glob(f"{bad}-{save_every_s}*.safetensors"))
            assert len(saved) == (save_every_s == 0)
            for file in saved:
                assert file.stem.endswith(f"-{step}")
                for name, tensor in load_file(file).items():
                    assert tensor.float().isfinite().all(), name


def test_a_deferred_check_changes_no_number() -> None:
    x, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 1])
    outcomes = []
    for deferred in (False, True):
        torch.manual_seed(0)
        state = make_state(Head(8, 3), defer_loss_check=deferred)
        fit(state, make_plan(x, labels, epochs=3), progress=silent())
        outcomes.append((state.history, state.model.state_dict()))
    assert outcomes[0][0] == outcomes[1][0]
    torch.testing.assert_close(outcomes[0][1], outcomes[1][1], rtol=0, atol=0)


def test_the_moments_of_the_first_step_count_as_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, labels = torch.randn(2, 8), torch.tensor([0, 1])
    state = make_state(Head(8, 3))

    def no_memory(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError

    def fits() -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(torch, "empty_like", no_memory)
            return state.fits_in_memory(split_clips(x, labels), clips=2)

    assert not fits()
    state.train_step(split_clips(x, labels), clips=2)
    assert fits()


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
