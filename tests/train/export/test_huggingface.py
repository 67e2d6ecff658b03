"""Encoders that transformers does not have are refused, with the way out."""

import pytest

from mmder_store.errors import SettingsError
from mmder_train.export.huggingface import check_exportable
from mmder_train.models.registry import build_encoder
from mmder_train.models.videomae import PoolingConfig


def test_other_architectures_are_refused() -> None:
    with pytest.raises(SettingsError, match="transformers has no mae-dfer; expected"):
        check_exportable(build_encoder("mae-dfer"), name="mae-dfer")
    encoder = build_encoder("tiny", PoolingConfig(pos_embed=False))
    with pytest.raises(SettingsError, match=r"always adds positions\. Use --to onnx"):
        check_exportable(encoder, name="tiny")
    encoder = build_encoder("tiny")
    assert check_exportable(encoder, name="tiny") is encoder
