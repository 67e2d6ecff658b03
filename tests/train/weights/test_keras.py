"""Weights of the TensorFlow port: files in its layout, and its forward pass.

The writer and the forward pass below use only numpy and follow the conventions of the
port: channels last, kernels with inputs first, epsilon 1e-5.
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
    """Weights of a model in the layout of the port."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)

        def noise(*shape: int, scale: float = 0.05) -> Array:
            return rng.normal(scale=scale, size=shape).astype(np.float32)

        self.patch = (noise(2, 16, 16, 3, DIM, scale=0.02), noise(DIM))
        self.blocks = [
            {
                "gamma1": 1 + noise(DIM),
                "beta1": noise(DIM),
                "qkv": noise(DIM, 3 * DIM, scale=0.2),
                "proj": noise(DIM, DIM, scale=0.2),
                "proj_bias": noise(DIM),
                "q_bias": noise(DIM),
                "v_bias": noise(DIM),
                "gamma2": 1 + noise(DIM),
                "beta2": noise(DIM),
                "fc1": noise(DIM, 4 * DIM, scale=0.2),
                "fc1_bias": noise(4 * DIM),
                "fc2": noise(4 * DIM, DIM, scale=0.2),
                "fc2_bias": noise(DIM),
            }
            for _ in range(DEPTH)
        ]
        self.norm = (1 + noise(DIM), noise(DIM))
        self.head = (noise(DIM, CLASSES), noise(CLASSES))

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
        weight = np.exp(score - score.max(axis=2, keepdims=True))
        weight /= weight.sum(axis=2, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", weight, qkv[:, 2]).reshape(-1, DIM)
        return np.asarray(mixed @ block["proj"] + block["proj_bias"])


def norm(x: Array, gamma: Array, beta: Array) -> Array:
    centered = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    return np.asarray(centered / std * gamma + beta)


def block_weights(
    block: dict[str, Array], scope: str, number: Iterator[int], *, biases_first: bool
) -> Named:
    """Return the weights of a block in the order of Keras, numbered per session."""
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
    """Write one group per layer, as save_weights of Keras 2 does."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.12.0"
        for layer, layer_weights in layers.items():
            group = file.create_group(layer)
            names = [name.encode() for name, _ in layer_weights]
            if pieces == 1:
                group.attrs["weight_names"] = names
            else:
                for k, part in enumerate(np.array_split(np.array(names), pieces)):
                    group.attrs[f"weight_names{k}"] = part
            for name, value in layer_weights:
                group.create_dataset(name, data=value)


def pair(scope: str, values: tuple[Array, Array], *names: str) -> Named:
    return [(f"{scope}/{n}:0", v) for n, v in zip(names, values, strict=True)]


def fine_tuned(path: Path, model: Model, *, biases_first: bool = False) -> None:
    number = iter(range(40, 99))
    scope = "TFVideoMAE_S_16x224_FT"
    blocks = {
        f"TFBlock{k + 1}": block_weights(
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
        inner += block_weights(
            block, f"{top}/{scope}/block", number, biases_first=False
        )
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


def assert_same_output(path: Path, model: Model) -> weights.Weights:
    loaded = weights.load_weights(path)
    assert loaded.format == "Keras VideoMAE"
    assert loaded.readout.norm_eps == 1e-5
    encoder = Encoder(Size(dim=DIM, depth=DEPTH, heads=HEADS), loaded.readout).eval()
    weights.load_into(encoder, loaded)
    with torch.no_grad():
        ours = encoder.tokens(torch.from_numpy(CLIP).permute(0, 4, 1, 2, 3))[0]
    assert np.abs(ours.numpy() - model.tokens(CLIP)).max() < 1e-5
    return loaded


@pytest.mark.parametrize("biases_first", [False, True])
def test_a_fine_tuning_file(tmp_path: Path, *, biases_first: bool) -> None:
    fine_tuned(tmp_path / "w.h5", Model(), biases_first=biases_first)
    loaded = assert_same_output(tmp_path / "w.h5", Model())
    assert "head of 400 classes; every fold trains its own" in loaded.dropped.values()


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_pre_training_file(tmp_path: Path, pieces: int) -> None:
    """A list of names that is too long for one attribute is split into several."""
    pre_trained(tmp_path / "w.h5", Model(), pieces=pieces)
    loaded = assert_same_output(tmp_path / "w.h5", Model())
    reasons = list(loaded.dropped.values())
    assert reasons.count("decoder of the pre-training") == 3


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (h5py.SoftLink("/TFBlock2"), "is a link or missing"),
        (h5py.ExternalLink("other.h5", "/head"), "is a link or missing"),
    ],
)
def test_links_are_not_followed(tmp_path: Path, link: object, text: str) -> None:
    fine_tuned(tmp_path / "w.h5", Model())
    fine_tuned(tmp_path / "other.h5", Model())
    with h5py.File(tmp_path / "w.h5", "a") as file:
        names = file["head"].attrs["weight_names"]
        del file[f"head/{names[0]}"]
        file[f"head/{names[0]}"] = link
    with pytest.raises(WeightsError, match=text):
        weights.load_weights(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["head"]
        file["head"] = link
    with pytest.raises(WeightsError, match="'head' is a link or missing"):
        weights.load_weights(tmp_path / "w.h5")


def test_arrays_outside_the_file_or_of_another_dtype(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"

    def replace_array(**options: object) -> None:
        fine_tuned(path, Model())
        with h5py.File(path, "a") as file:
            name = "head/" + file["head"].attrs["weight_names"][0]
            del file[name]
            file.create_dataset(name, **options)

    replace_array(shape=(1 << 40, 1 << 10), dtype="f4", chunks=(1024, 1024))
    with pytest.raises(WeightsError, match="claims more than the file contains"):
        weights.load_weights(path)
    (tmp_path / "raw").write_bytes(bytes(16))
    replace_array(shape=(4,), dtype="f4", external=[(str(tmp_path / "raw"), 0, 16)])
    with pytest.raises(WeightsError, match="claims more than the file contains"):
        weights.load_weights(path)
    replace_array(data=np.ones((2, 2), "i4"))
    with pytest.raises(WeightsError, match="int32, expected floats"):
        weights.load_weights(path)


def test_other_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    fine_tuned(path, Model())
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(WeightsError, match="damaged, truncated"):
        weights.load_weights(path)
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(WeightsError, match="not Keras weights"):
        weights.load_weights(path)
    write(path, {"resnet": [("conv/kernel:0", np.ones((3, 3, 3, 8), "f4"))]})
    with pytest.raises(WeightsError, match="has no layer 'resnet'"):
        weights.load_weights(path)
    write(path, {"TFBlock1": [("dense/kernel:0", np.ones((3, 9), "f4"))]})
    with pytest.raises(WeightsError, match=r"blocks.0 has 1 weights .* expected 13"):
        weights.load_weights(path)
