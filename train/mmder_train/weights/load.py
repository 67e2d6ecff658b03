"""From what the user called it to weights under the official names."""

from dataclasses import replace
from pathlib import Path

from mmder_train.encoders import ENCODERS
from mmder_train.videomae import Readout
from mmder_train.weights import files, hub, images
from mmder_train.weights.fit import encoder_of
from mmder_train.weights.formats import official
from mmder_train.weights.held import Facts, Held, Weights


def load(spec: str | Path) -> Weights:
    """Read weights of any known format.

    Args:
        spec: A file, a folder, ``hf:OWNER/MODEL[/FILE]`` or ``timm:NAME[@FILE]``.

    Raises:
        WeightsError: If there are none, or they are damaged, or of no known format.
    """
    name, held = _held(spec)
    form, tensors, left_out = official(name, held)
    facts = held.facts
    if form.beside is not None:
        facts = form.beside(held.paths[0].parent)
    if facts.other_statistics:
        why = f"{facts.other_statistics} is none known here; {form.statistics} instead"
        left_out = {**left_out, "statistics of its pictures": why}
    found = Weights(
        name=name,
        format=form.name,
        sha256=files.sha256(held.paths),
        encoder="",
        tensors=tensors,
        left_out=left_out,
        readout=Readout(),
        statistics=facts.statistics or form.statistics,
        facts=facts,
        about=held.about,
    )
    encoder = encoder_of(found)
    asked = ENCODERS[encoder].readout if encoder else Readout()
    return replace(found, encoder=encoder, readout=_readout(facts, asked, form.epsilon))


def _held(spec: str | Path) -> tuple[str, Held]:
    text = str(spec)
    if text.startswith("timm:"):
        return text.partition("@")[0], images.read(text.removeprefix("timm:"))
    if text.startswith("hf:"):
        return text, files.read(hub.fetch(text.removeprefix("hf:")))
    path = Path(spec)
    return path.absolute().name, files.read(path)


def _readout(facts: Facts, asked: Readout, epsilon: float) -> Readout:
    return Readout(
        epsilon=epsilon if facts.epsilon is None else facts.epsilon,
        pool=facts.pool or asked.pool,
        positions=asked.positions if facts.positions is None else facts.positions,
    )
