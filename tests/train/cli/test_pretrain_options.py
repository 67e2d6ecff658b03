"""Options of `mmder-train pretrain`: the defaults and choices of the settings."""

from dataclasses import fields
from typing import get_args, get_type_hints

import rich_click as click

from mmder_train.cli.pretrain import pretrain
from mmder_train.pretraining.config import PretrainConfig

RESOLVED = {"weights_sha256", "norm_eps", "pool", "pos_embed", "world_size"}
"""Settings that follow from the weights or from torchrun."""
RUNTIME = {
    *("stores", "probe_store", "out", "workers", "save_every", "tensorboard"),
    "config",
}


def test_options_are_the_settings_with_their_defaults() -> None:
    options = {
        str(o.name): o
        for o in pretrain.params
        if isinstance(o, click.Option) and o.expose_value
    }
    defaults = {f.name: f.default for f in fields(PretrainConfig)}
    assert set(options) - RUNTIME == set(defaults) - RESOLVED
    hints = get_type_hints(PretrainConfig)
    parsed = pretrain.make_context("pretrain", ["--store", "a", "--out", "b"]).params
    for name, default in defaults.items():
        if name in RESOLVED or name == "device":
            continue
        option = options[name]
        assert parsed[name] == default or (parsed[name] is None and default == ""), name
        choices = get_args(hints[name])
        if (
            isinstance(option.type, click.Choice)
            and choices
            and str in map(type, choices)
        ):
            assert tuple(option.type.choices) == choices, name
