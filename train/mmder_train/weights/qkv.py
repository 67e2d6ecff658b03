"""Rewrite other forms of a transformer block to the official one, exactly.

The official attention has one weight for query, key and value, and biases only for
query and value.
"""

import re

import torch
from torch import Tensor

KEY_BIAS = (
    "bias of the keys: it adds the same value to the products of a query with every "
    "key, which softmax cancels"
)
SCALED = (
    ("attn.proj", r"\.(?:ls1\.gamma|gamma_1)$"),
    ("mlp.fc2", r"\.(?:ls2\.gamma|gamma_2)$"),
)
"""Layers followed by a LayerScale, with a regular expression for its name."""


def merge_qkv(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rewrite all blocks to the official form.

    A scale after a layer (LayerScale) is multiplied into the layer: g (W x + b) is
    (g W) x + g b.

    Returns:
        The tensors in the official form, and the reason for each dropped one.
    """
    out, dropped = dict(tensors), {}
    for name in list(out):
        if name.endswith(".attn.q.weight"):
            block = name.removesuffix("q.weight")
            parts = [f"{block}{part}.weight" for part in "qkv"]
            if all(part in out for part in parts):
                out[f"{block}qkv.weight"] = torch.cat([out.pop(p) for p in parts])
        elif name.endswith(".attn.qkv.bias") and len(out[name]) % 3 == 0:
            block = name.removesuffix("qkv.bias")
            query, _, value = out.pop(name).chunk(3)
            out[f"{block}q_bias"], out[f"{block}v_bias"] = query, value
            dropped[f"{block}qkv.bias, its middle third"] = KEY_BIAS
    for name in list(out):
        if match := re.search(r"\.attn\.(?:([qkv])\.bias|(k)_bias)$", name):
            part = match[1] or match[2]
            tensor = out.pop(name)
            if part == "k":
                dropped[name] = KEY_BIAS
            else:
                out[f"{name[: match.start()]}.attn.{part}_bias"] = tensor
        for layer, scale in SCALED:
            if match := re.search(scale, name):
                gain, block = out.pop(name), name[: match.start()]
                for part in ("weight", "bias"):
                    target = f"{block}.{layer}.{part}"
                    if target in out and len(out[target]) == len(gain):
                        factor = gain if part == "bias" else gain[:, None]
                        out[target] = factor * out[target]
    return out, dropped
