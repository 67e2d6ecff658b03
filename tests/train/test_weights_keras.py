"""Weights of the TensorFlow port: files written in its layout, and its arithmetic.

The writer and the forward pass below are of numpy alone and follow the port's
conventions: channels last, kernels with inputs first, epsilon 1e-5.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf

from mmder_store.errors import WeightsError
from mmder_train import weights
from mmder_train.models.videomae import Encoder, Size

Array = NDArray[Any]
Named = list[tuple[str, Array]]
DIM, DEPTH, HEADS, CLASSES = 24, 2, 2, 400
CLIP = np.random.default_rng(0).normal(size=(1, 16, 224, 224, 3)).astype(np.float32)


class Model:
    """Numbers of a model as the port holds them."""

    def __init__(self) -> None:
        draw = np.random.default_rng(1)

        def some(*shape: int, scale: float = 0.05) -> Array:
            return draw.normal(scale=scale, size=shape).astype(np.float32)

        self.patch = (some(2, 16, 16, 3, DIM, scale=0.02), some(DIM))
        self.blocks = [
            {
                "gamma1": 1 + some(DIM),
                "beta1": some(DIM),
                "qkv": some(DIM, 3 * DIM, scale=0.2),
                "proj": some(DIM, DIM, scale=0.2),
                "proj_bias": some(DIM),
                "q_bias": some(DIM),
                "v_bias": some(DIM),
                "gamma2": 1 + some(DIM),
                "beta2": some(DIM),
                "fc1": some(DIM, 4 * DIM, scale=0.2),
                "fc1_bias": some(4 * DIM),
                "fc2": some(4 * DIM, DIM, scale=0.2),
                "fc2_bias": some(DIM),
            }
            for _ in range(DEPTH)
        ]
        self.norm = (1 + some(DIM), some(DIM))
        self.head = (some(DIM, CLASSES), some(CLASSES))

    def tokens(self, clip: Array) -> Array:
        kernel, bias = self.patch
        parts = clip.reshape(1, 8, 2, 14, 16, 14, 16, 3)
        x = np.einsum("ntahbwcr,abcrd->nthwd", parts, kernel, optimize=True) + bias
        x = x.reshape(-1, DIM).astype(np.float64)
        for p, row in enumerate(x):
            for i in range(DIM):
                angle = p / 10000 ** (2 * (i // 2) / DIM)
                row[i] += math.cos(angle) if i % 2 else math.sin(angle)
        for block in self.blocks:
            x = x + self.attention(norm(x, block["gamma1"], block["beta1"]), block)
            inner = norm(x, block["gamma2"], block["beta2"]) @ block["fc1"]
            inner = inner + block["fc1_bias"]
            inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
            x = x + inner @ block["fc2"] + block["fc2_bias"]
        return np.asarray(x)

    def attention(self, x: Array, block: dict[str, Array]) -> Array:
        bias = np.concatenate([block["q_bias"], np.zeros(DIM), block["v_bias"]])
        qkv = (x @ block["qkv"] + bias).reshape(-1, 3, HEADS, DIM // HEADS)
        score = np.einsum("qhd,khd->hqk", qkv[:, 0], qkv[:, 1]) / math.sqrt(DIM / HEADS)
        share = np.exp(score - score.max(axis=2, keepdims=True))
        share /= share.sum(axis=2, keepdims=True)
        taken = np.einsum("hqk,khd->qhd", share, qkv[:, 2]).reshape(-1, DIM)
        return np.asarray(taken @ block["proj"] + block["proj_bias"])


def norm(x: Array, gamma: Array, beta: Array) -> Array:
    centred = x - x.mean(axis=1, keepdims=True)
    spread = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    return np.asarray(centred / spread * gamma + beta)


def listed(
    block: dict[str, Array], scope: str, number: Iterator[int], *, biases_first: bool
) -> Named:
    """The weights of a block in Keras's order, under names numbered by session."""
    one, two, qkv, proj, fc1, fc2, own = (next(number) for _ in range(7))
    inner = [
        (f"{scope}/attn/dense_{qkv}/kernel:0", block["qkv"]),
        (f"{scope}/attn/dense_{proj}/kernel:0", block["proj"]),
        (f"{scope}/attn/dense_{proj}/bias:0", block["proj_bias"]),
    ]
    biases = [
        (f"q_bias_id{own}:0", block["q_bias"]),
        (f"v_bias_id{own}:0", block["v_bias"]),
    ]
    return [
        (f"{scope}/layer_normalization_{one}/gamma:0", block["gamma1"]),
        (f"{scope}/layer_normalization_{one}/beta:0", block["beta1"]),
        *(biases + inner if biases_first else inner + biases),
        (f"{scope}/layer_normalization_{two}/gamma:0", block["gamma2"]),
        (f"{scope}/layer_normalization_{two}/beta:0", block["beta2"]),
        (f"{scope}/mlp/dense_{fc1}/kernel:0", block["fc1"]),
        (f"{scope}/mlp/dense_{fc1}/bias:0", block["fc1_bias"]),
        (f"{scope}/mlp/dense_{fc2}/kernel:0", block["fc2"]),
        (f"{scope}/mlp/dense_{fc2}/bias:0", block["fc2_bias"]),
    ]


def write(path: Path, layers: dict[str, Named], *, pieces: int = 1) -> None:
    """Write groups as save_weights of Keras 2 does."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.12.0"
        for layer, weights_of in layers.items():
            group = file.create_group(layer)
            names = [name.encode() for name, _ in weights_of]
            if pieces == 1:
                group.attrs["weight_names"] = names
            else:
                for k, part in enumerate(np.array_split(np.array(names), pieces)):
                    group.attrs[f"weight_names{k}"] = part
            for name, value in weights_of:
                group.create_dataset(name, data=value)


def pair(scope: str, values: tuple[Array, Array], *names: str) -> Named:
    return [(f"{scope}/{n}:0", v) for n, v in zip(names, values, strict=True)]


def fine_tuned(path: Path, model: Model, *, biases_first: bool = False) -> None:
    number = iter(range(40, 99))
    scope = "TFVideoMAE_S_16x224_FT"
    blocks = {
        f"TFBlock{k + 1}": listed(
            block, f"{scope}/TFBlock{k + 1}", number, biases_first=biases_first
        )
        for k, block in enumerate(model.blocks)
    }
    layers: dict[str, Named] = {
        **dict(sorted(blocks.items(), reverse=True)),
        "fc_dropout_identity": [],
        "fc_norm": pair(f"{scope}/fc_norm", model.norm, "gamma", "beta"),
        "head": pair(f"{scope}/head", model.head, "kernel", "bias"),
        "patch_embed": pair(
            f"{scope}/patch_embed/patch_embed_proj", model.patch, "kernel", "bias"
        ),
        "pos_drop": [],
    }
    write(path, layers)


def pre_trained(path: Path, model: Model, *, pieces: int = 1) -> None:
    number = iter(range(99))
    top, scope = "TFVideoMAE_S_16x224_PT", "TFPretrainVisionTransformerEncoder"
    inner = pair(f"{top}/{scope}/patch/proj", model.patch, "kernel", "bias")
    for block in model.blocks:
        inner += listed(block, f"{top}/{scope}/block", number, biases_first=False)
    inner += pair(f"{top}/{scope}/norm_encoder", model.norm, "gamma", "beta")
    layers: dict[str, Named] = {
        "encoder_to_decoder": [(f"{top}/to/kernel:0", np.ones((DIM, 12), "f4"))],
        "TFPretrainVisionTransformerDecoder": [(f"{top}/x:0", np.ones(12, "f4"))],
        scope: inner,
    }
    write(path, layers, pieces=pieces)
    with h5py.File(path, "a") as file:
        group = file.create_group("top_level_model_weights")
        group.attrs["weight_names"] = [b"mask_token_pretrained:0"]
        group.create_dataset("mask_token_pretrained:0", data=np.ones((1, 1, 12), "f4"))


def assert_same(path: Path, model: Model) -> weights.Weights:
    found = weights.load_weights(path)
    assert found.format == "Keras VideoMAE"
    assert found.readout.norm_eps == 1e-5
    encoder = Encoder(Size(dim=DIM, depth=DEPTH, heads=HEADS), found.readout).eval()
    weights.load_into(encoder, found)
    with torch.no_grad():
        ours = encoder.tokens(torch.from_numpy(CLIP).permute(0, 4, 1, 2, 3))[0]
    assert np.abs(ours.numpy() - model.tokens(CLIP)).max() < 1e-5
    return found


@pytest.mark.parametrize("biases_first", [False, True])
def test_a_fine_tuning_file(tmp_path: Path, *, biases_first: bool) -> None:
    fine_tuned(tmp_path / "w.h5", Model(), biases_first=biases_first)
    found = assert_same(tmp_path / "w.h5", Model())
    assert "head of 400 classes; every fold trains its own" in found.dropped.values()


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_pre_training_file(tmp_path: Path, pieces: int) -> None:
    """Lists of names that are too long for one attribute come in pieces."""
    pre_trained(tmp_path / "w.h5", Model(), pieces=pieces)
    found = assert_same(tmp_path / "w.h5", Model())
    why = list(found.dropped.values())
    assert why.count("decoder of the pre-training") == 3


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (h5py.SoftLink("/TFBlock2"), "lies in another place"),
        (h5py.ExternalLink("other.h5", "/head"), "lies in another place"),
    ],
)
def test_links_are_not_followed(tmp_path: Path, place: object, text: str) -> None:
    fine_tuned(tmp_path / "w.h5", Model())
    fine_tuned(tmp_path / "other.h5", Model())
    with h5py.File(tmp_path / "w.h5", "a") as file:
        names = file["head"].attrs["weight_names"]
        del file[f"head/{names[0]}"]
        file[f"head/{names[0]}"] = place
    with pytest.raises(WeightsError, match=text):
        weights.load_weights(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["head"]
        file["head"] = place
    with pytest.raises(WeightsError, match="'head' lies in another place"):
        weights.load_weights(tmp_path / "w.h5")


def test_arrays_that_are_not_what_they_claim(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"

    def replaced(**how: object) -> None:
        fine_tuned(path, Model())
        with h5py.File(path, "a") as file:
            name = "head/" + file["head"].attrs["weight_names"][0]
            del file[name]
            file.create_dataset(name, **how)

    replaced(shape=(1 << 40, 1 << 10), dtype="f4", chunks=(1024, 1024))
    with pytest.raises(WeightsError, match="claims more than the file holds"):
        weights.load_weights(path)
    (tmp_path / "raw").write_bytes(bytes(16))
    replaced(shape=(4,), dtype="f4", external=[(str(tmp_path / "raw"), 0, 16)])
    with pytest.raises(WeightsError, match="claims more than the file holds"):
        weights.load_weights(path)
    replaced(data=np.ones((2, 2), "i4"))
    with pytest.raises(WeightsError, match="int32, expected floats"):
        weights.load_weights(path)


def test_files_that_are_no_such_model(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    fine_tuned(path, Model())
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(WeightsError, match="damaged, truncated"):
        weights.load_weights(path)
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(WeightsError, match="no weights of Keras"):
        weights.load_weights(path)
    write(path, {"resnet": [("conv/kernel:0", np.ones((3, 3, 3, 8), "f4"))]})
    with pytest.raises(WeightsError, match="layer 'resnet' is none of"):
        weights.load_weights(path)
    write(path, {"TFBlock1": [("dense/kernel:0", np.ones((3, 9), "f4"))]})
    with pytest.raises(WeightsError, match=r"blocks.0 has 1 weights .* expected 13"):
        weights.load_weights(path)
