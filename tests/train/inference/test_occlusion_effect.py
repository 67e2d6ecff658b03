"""An effect counts only if it exceeds the differences between the models."""

import pytest
import torch

from mmder_train.inference.occlusion_effect import is_measurable, model_agreement


@pytest.mark.parametrize(
    ("drops", "expected"),
    [
        ([[0.0005]], False),  # below a tenth of a percentage point
        ([[0.1]], True),
        ([[0.1], [-0.1]], False),  # one model reacts up, the other down
        ([[0.10], [0.12]], True),
        ([[0.0, 0.1], [0.0, 0.1]], True),  # one of two changes is enough
    ],
)
def test_is_measurable(drops: list[list[float]], expected: bool) -> None:
    assert is_measurable(torch.tensor(drops, dtype=torch.float64)) is expected


def test_models_that_disagree_are_counted() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]).double()
    agreement = model_agreement(probabilities, best=1)
    assert dict(agreement.votes) == {1: 2, 0: 1}
    assert not agreement.is_unanimous
    assert (agreement.lowest, agreement.highest) == pytest.approx((0.1, 0.8))
    assert model_agreement(probabilities[1:], best=1).is_unanimous
