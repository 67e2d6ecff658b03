"""Names of the hub: from its cache where they are there, by hand where not."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Size

SIZE = Size(dim=24, depth=1, heads=2)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty cache of the hub, without a network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def cached(cache: Path, repository: str) -> Path:
    """Lay out a repository as the hub's client does."""
    folder = cache / ("models--" + repository.replace("/", "--"))
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    return snapshot


def test_without_a_network_it_says_what_to_place_by_hand(cache: Path) -> None:
    del cache
    with pytest.raises(WeightsError) as told:
        weights.load_weights("hf:owner/model")
    assert "\n" not in str(told.value)
    assert "weights hf:owner/model: cannot be had here" in str(told.value)
    assert "Get config.json and model.safetensors (or pytorch_model.bin) of " in str(
        told.value
    )
    with pytest.raises(WeightsError, match=r"Get deep/w\.pth of owner/model"):
        weights.load_weights("hf:owner/model/deep/w.pth")
    with pytest.raises(
        WeightsError, match=r"say --weights timm:vit_base_patch16_224@FILE"
    ):
        weights.load_weights("timm:vit_base_patch16_224")


@pytest.mark.parametrize("name", ["model", "a/../w", "a/b/../../w", "a b/c", ""])
def test_names_that_are_none(cache: Path, name: str) -> None:
    del cache
    with pytest.raises(WeightsError, match="expected hf:OWNER/MODEL"):
        weights.load_weights(f"hf:{name}")


def test_what_is_in_the_cache_is_read(cache: Path) -> None:
    encoder = Encoder(SIZE)
    safe = cached(cache, "owner/safe")
    save_file(encoder.state_dict(), safe / "model.safetensors")
    pickled = cached(cache, "owner/pickled")
    torch.save({"module": encoder.state_dict()}, pickled / "w.pth")
    for name in ("owner/safe", "owner/pickled", "owner/pickled/w.pth"):
        found = weights.load_weights(f"hf:{name}")
        assert found.name == f"hf:{name}"
        weights.load_into(Encoder(SIZE), found)
