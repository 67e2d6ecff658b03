"""The model card of an exported model: ``README.md`` with front matter.

Sections follow Mitchell et al. 2019 (arXiv 1810.03993): details, intended use,
evaluation, training data, limits. All numbers come from the run.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmder_train.evaluation import metrics
from mmder_train.evaluation.load_results import StrategyResults
from mmder_train.evaluation.model_quality import model_quality
from mmder_train.fusion.strategies import Strategy
from mmder_train.inference.trained_run import TrainedRun

CORPUS_LICENSES = {
    "ravdess": "CC BY-NC-SA 4.0 (Zenodo record 1188976)",
    "cremad": "Open Database License 1.0",
    "iemocap": "research only, from its publisher (SAIL, USC)",
    "mead": "research only, from its authors",
}
"""License of each corpus that has a command of its own."""
SEED = 0
"""Seed of the bootstrap intervals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """Facts about an exported model."""

    run: str
    """Name of the run's folder."""
    fold: int
    """Number of the fold whose model is exported, from 1."""
    trained: TrainedRun
    """The model and the settings of its input."""
    results: Mapping[str, Any]
    """Contents of ``results.json``."""
    predictions: StrategyResults
    """Predictions of all folds of the strategy."""
    usage: str
    """Python code that loads the model."""
    note: str
    """Sentence about the agreement of the exported model with the run's."""


def model_card(facts: CardFacts) -> str:
    """Return the model card as Markdown."""
    config, strategy = facts.results["config"], facts.trained.strategy
    scores = facts.results["strategies"][strategy.name]
    corpus = str(facts.results["store"]["corpus"])
    fold = next(f for f in scores["folds"] if f["fold"] == facts.fold)
    sections = (
        _front_matter(config),
        f"# {corpus}, {strategy.name}, {config['encoder']}, fold {facts.fold}",
        "Emotion recognition from a clip of a talking face. The model is one fold of a "
        f"cross-validation with mmder {facts.results['versions']['mmder']} (run "
        f"{facts.run}). Method: {_method(config)}.",
        f"Classes, in the order of the logits: {', '.join(facts.trained.classes)}.",
        "## Input",
        input_description(facts.trained),
        "## Use",
        f"```python\n{facts.usage.strip()}\n```",
        facts.note,
        "## Evaluation",
        _evaluation(facts, fold, scores),
        "## Training data",
        f"Corpus `{corpus}`. License of the corpus: "
        f"{CORPUS_LICENSES.get(corpus, 'not known to mmder; ask its publisher')}."
        f"{_weights_license(config)}",
        f"Trained on {fold['train_clips']} clips. Not trained on the speakers "
        f"{', '.join(fold['speakers'])}"
        f"{_validation_text(fold)}.",
        *_warnings(scores["warnings"]),
        "## Intended use and limits",
        _limits(facts, scores),
    )
    return "\n\n".join(sections) + "\n"


def input_description(trained: TrainedRun) -> str:
    """Return how an input of the model is made, as Markdown."""
    strategy, render = trained.strategy, trained.render_settings
    prep = trained.prep_settings
    audio = (
        f"Spectrogram: `{render.spectrogram}`, colormap `{render.colormap}`, values "
        f"scaled per `{render.spectrogram_norm}`, audio at {prep.sample_rate_hz} Hz. "
        if strategy.windows
        else ""
    )
    return (
        "A float tensor `(clip, frame, rgb, height, width)` = `(n, 16, 3, 224, 224)`. "
        f"Strategy `{strategy.name}` ({strategy.equation}): {_summary(strategy)} "
        f"{audio}Preparation: {_preparation(trained)}. Colors in [0, 1] minus "
        f"{list(render.image_norm.mean_rgb)}, divided by "
        f"{list(render.image_norm.std_rgb)}. An image processor alone does not make "
        "this input: prepare clips with `mmder-prep`, and fuse them with "
        "`mmder_train.FusionDataset`."
    )


def _summary(strategy: Strategy) -> str:
    """Return the first sentence of the layout's documentation."""
    documentation = inspect.getdoc(strategy.layout) or strategy.equation
    return documentation.splitlines()[0]


def _preparation(trained: TrainedRun) -> str:
    settings = trained.prep_settings.to_json()
    return ", ".join(f"`{name}` {value}" for name, value in sorted(settings.items()))


def _front_matter(config: Mapping[str, Any]) -> str:
    return "\n".join(
        (
            "---",
            "library_name: transformers",
            "pipeline_tag: video-classification",
            "tags:",
            "- emotion-recognition",
            "- videomae",
            f"- {config['labels']}",
            "---",
        )
    )


def _method(config: Mapping[str, Any]) -> str:
    start = "random weights" if config["weights"] == "none" else config["weights"]
    verb = (
        "a linear head on a frozen encoder"
        if config["method"] == "linear-probe"
        else "encoder and head fine-tuned"
    )
    return f"{verb}, encoder `{config['encoder']}` from {start}"


def _weights_license(config: Mapping[str, Any]) -> str:
    if config["weights"] == "none":
        return ""
    return f" The license of the initial weights, `{config['weights']}`, applies too."


def _evaluation(
    facts: CardFacts, fold: Mapping[str, Any], scores: Mapping[str, Any]
) -> str:
    config, predictions = facts.results["config"], facts.predictions
    pooled, chance = scores["pooled"], scores["chance"]
    low_high = _intervals(predictions)
    rows = [
        f"| | clips | {' | '.join(metrics.SCORES.values())} |",
        f"|---|---|{'---|' * len(metrics.SCORES)}",
        _row(f"this model, fold {facts.fold}", sum_clips(fold), fold),
        _row("all folds, each by its own model", pooled["clips"], pooled, low_high),
        _row("always the most frequent class", pooled["clips"], chance),
    ]
    tested = len(set(predictions.speaker))
    return (
        f"Protocol `{config['protocol']}`, label set `{config['labels']}`: no speaker "
        f"is trained on and tested in one fold. {tested} speakers were tested, those "
        f"of this model: {', '.join(fold['speakers'])}. In brackets: 95 % bootstrap "
        "interval over speakers. In percent.\n\n" + "\n".join(rows)
    )


def sum_clips(fold: Mapping[str, Any]) -> int:
    """Return the number of tested clips of a fold."""
    return int(np.sum(fold["confusion"]))


def _row(
    name: str,
    clips: int,
    scores: Mapping[str, Any],
    intervals: Sequence[tuple[float, float]] | None = None,
) -> str:
    cells = []
    for i, key in enumerate(metrics.SCORES):
        text = f"{scores[key] * 100:.1f}"
        if intervals:
            low, high = intervals[i]
            text += f" [{low * 100:.1f}, {high * 100:.1f}]"
        cells.append(text)
    return f"| {name} | {clips} | {' | '.join(cells)} |"


def _intervals(
    predictions: StrategyResults,
) -> Sequence[tuple[float, float]] | None:
    if len(set(predictions.speaker)) < 2:
        return None
    counts = predictions.confusion_by(predictions.speaker)
    return metrics.intervals(counts[None], seed=SEED)


def _validation_text(fold: Mapping[str, Any]) -> str:
    if not fold["validated"]:
        return ""
    return f", nor on the validation speakers {', '.join(fold['validated'])}"


def _warnings(warnings: Sequence[str]) -> tuple[str, ...]:
    if not warnings:
        return ()
    return ("Warnings of the run:\n\n" + "\n".join(f"- {w}" for w in warnings),)


def _limits(facts: CardFacts, scores: Mapping[str, Any]) -> str:
    lines = [
        "For research on emotion recognition. Not for decisions about people: a class "
        "names an expression that resembles the training data, not what a person "
        "feels.",
        "Measured on the corpus above alone. Other speakers, languages, cameras or "
        "spontaneous speech can give far lower scores.",
    ]
    folds = [int(fold["fold"]) for fold in scores["folds"]]
    quality = model_quality(facts.results, facts.trained.strategy.name, folds)
    if quality.is_chance:
        lines.append("The scores are those of chance. The predictions mean nothing.")
    if quality.has_random_encoder:
        lines.append(
            "The encoder has random weights: the model is a test of the pipeline."
        )
    return "\n".join(f"- {line}" for line in lines)
