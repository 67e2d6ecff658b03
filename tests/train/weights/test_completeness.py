"""Checkpoints of a part of a model are refused with the way to the whole one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmder_store.errors import WeightsError
from mmder_train import weights
from weight_files import BARE, assert_same, reloaded, with_prefix


class LoraLinear(nn.Module):
    """A linear layer with an adapter, named as in peft: y = W x + B A x."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(24, 4, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(4, 24, bias=False)})


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        weights.load_weights(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", ["model", "adapter"])
def test_lora_that_is_not_merged(content: str, tmp_path: Path) -> None:
    """A whole model with its adapter, and the adapter by itself."""
    lora = LoraLinear(nn.Linear(24, 24)).state_dict()
    if content == "adapter":
        lora = {name: t for name, t in lora.items() if "lora" in name}
    tensors = with_prefix("base_model.model.blocks.0.attn.proj.", lora)
    if content == "model":
        tensors |= with_prefix("base_model.model.", BARE)
    save_file(tensors, tmp_path / "w.safetensors")
    text = refusal(tmp_path / "w.safetensors")
    assert f"{len(lora)} of {len(tensors)} tensors belong to an adapter" in text
    assert text.endswith("save the state_dict of model.merge_and_unload().")


def test_names_that_only_resemble_an_adapter_are_loaded(tmp_path: Path) -> None:
    """A prefix of one's own is no reason to refuse."""
    torch.save(with_prefix("flora_net.", BARE), tmp_path / "w")
    assert_same(reloaded(tmp_path / "w"))


def test_a_shard_of_zero_3(tmp_path: Path) -> None:
    """Parameters are empty there: their values are in the files of the optimizer."""
    state = {name: torch.empty(0, dtype=torch.bfloat16) for name in BARE}
    path = tmp_path / "zero_pp_rank_0_mp_rank_00_model_states.pt"
    torch.save({"module": state, "dp_world_size": 8}, path)
    text = refusal(path)
    assert f"{len(BARE)} of {len(BARE)} tensors are empty" in text
    assert "run the script zero_to_fp32.py" in text
    assert "zero_to_fp32.py" in refusal(tmp_path)
    optimizer = tmp_path / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"
    torch.save({"optimizer_state_dict": {}}, optimizer)
    assert "zero_to_fp32.py" in refusal(optimizer)
    assert "merge" not in refusal(tmp_path)


def test_a_folder_of_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file(
        {"x.lora_A.weight": torch.ones(4, 24)}, tmp_path / "adapter_model.safetensors"
    )
    assert "merge_and_unload" in refusal(tmp_path)


def test_one_empty_tensor_is_a_wrong_shape(tmp_path: Path) -> None:
    torch.save({**BARE, "blocks.0.norm1.bias": torch.empty(0)}, tmp_path / "w")
    with pytest.raises(
        WeightsError, match=r"'blocks.0.norm1.bias' is \(0,\), expected"
    ):
        reloaded(tmp_path / "w")
