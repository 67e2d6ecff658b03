"""The texts of an occlusion map state what was measured, and what was not."""

import torch

from mmder_train.fusion.strategies import STRATEGIES
from mmder_train.inference.explain_text import (
    agreement_text,
    effect_text,
    layout_text,
)
from mmder_train.inference.occlusion import OcclusionMap
from mmder_train.inference.occlusion_effect import ModelAgreement


def test_an_effect_of_nothing_is_not_divided() -> None:
    """Two models that disagree, and react to nothing."""
    occlusion_map = OcclusionMap(
        input_image=torch.zeros(16, 224, 224, 3, dtype=torch.uint8),
        probability=(0.5, 0.5),
        best=0,
        importance={},
        ablated={"video": 0.5, "audio": 0.5002},
        contribution={"video": 0.95, "audio": 0.05},
        is_measurable=False,
        agreement=ModelAgreement(votes={0: 1, 1: 1}, lowest=0.0, highest=1.0),
        source_frame={},
    )
    text = effect_text(occlusion_map, ("happy", "sad"))
    assert text == (
        "no measurable effect: hiding all video or all audio changes happy by 0.0 "
        "percentage points at most"
    )
    assert "happy 1, sad 1; happy from 0.0% to 100.0%" in agreement_text(
        occlusion_map, ("happy", "sad")
    )


def test_only_cfas_squashes_faces() -> None:
    texts = {name: layout_text(strategy) for name, strategy in STRATEGIES.items()}
    assert "224 x 112 pixels" in texts.pop("cfas")
    assert not any(texts.values())
