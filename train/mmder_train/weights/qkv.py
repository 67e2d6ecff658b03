"""Other ways to write a block, brought to the official one; every step is exact.

The official attention holds one weight for query, key and value, and biases for
query and value alone.
"""

import re

import torch
from torch import Tensor

KEY_BIAS = (
    "bias of the keys: it adds the same to a query's product with every key, and "
    "softmax takes that away"
)
SCALED = (
    ("attn.proj", r"\.(?:ls1\.gamma|gamma_1)$"),
    ("mlp.fc2", r"\.(?:ls2\.gamma|gamma_2)$"),
)


def merge_qkv(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Give the blocks in the official form, and why what was left out.

    A scale after a layer (LayerScale) goes into the layer: g (W x + b) is
    (g W) x + g b.
    """
    out, left_out = dict(tensors), {}
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
            left_out[f"{block}qkv.bias, its middle third"] = KEY_BIAS
    for name in list(out):
        if found := re.search(r"\.attn\.(?:([qkv])\.bias|(k)_bias)$", name):
            part = found[1] or found[2]
            tensor = out.pop(name)
            if part == "k":
                left_out[name] = KEY_BIAS
            else:
                out[f"{name[: found.start()]}.attn.{part}_bias"] = tensor
        for layer, scale in SCALED:
            if found := re.search(scale, name):
                gain, block = out.pop(name), name[: found.start()]
                for part in ("weight", "bias"):
                    whole = f"{block}.{layer}.{part}"
                    if whole in out and len(out[whole]) == len(gain):
                        tall = gain if part == "bias" else gain[:, None]
                        out[whole] = tall * out[whole]
    return out, left_out
