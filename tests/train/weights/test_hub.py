"""Weights from the Hugging Face hub: from its cache, or one error without a network."""

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
    """Return an empty cache of the hub, with the network turned off."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def add_to_cache(cache: Path, repository: str) -> Path:
    """Create the folders of a repository as the client of the hub does."""
    folder = cache / ("models--" + repository.replace("/", "--"))
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    return snapshot


def test_error_without_a_network_lists_the_files_to_copy(cache: Path) -> None:
    del cache
    with pytest.raises(WeightsError) as caught:
        weights.load_weights("hf:owner/model")
    message = str(caught.value)
    assert "\n" not in message
    assert "weights hf:owner/model: cannot be downloaded" in message
    assert "Download config.json and model.safetensors (or pytorch_model.bin) of " in (
        message
    )
    assert message.endswith("copy them to a folder, and pass the folder to --weights.")
    with pytest.raises(WeightsError, match=r"Download deep/w\.pth of owner/model"):
        weights.load_weights("hf:owner/model/deep/w.pth")
    with pytest.raises(
        WeightsError, match=r"pass --weights timm:vit_base_patch16_224@FILE"
    ):
        weights.load_weights("timm:vit_base_patch16_224")


@pytest.mark.parametrize("name", ["model", "a/../w", "a/b/../../w", "a b/c", ""])
def test_invalid_names(cache: Path, name: str) -> None:
    del cache
    with pytest.raises(WeightsError, match="expected hf:OWNER/MODEL"):
        weights.load_weights(f"hf:{name}")


def test_cached_files_are_loaded(cache: Path) -> None:
    encoder = Encoder(SIZE)
    safe = add_to_cache(cache, "owner/safe")
    save_file(encoder.state_dict(), safe / "model.safetensors")
    pickled = add_to_cache(cache, "owner/pickled")
    torch.save({"module": encoder.state_dict()}, pickled / "w.pth")
    for name in ("owner/safe", "owner/pickled", "owner/pickled/w.pth"):
        loaded = weights.load_weights(f"hf:{name}")
        assert loaded.name == f"hf:{name}"
        weights.load_into(Encoder(SIZE), loaded)
