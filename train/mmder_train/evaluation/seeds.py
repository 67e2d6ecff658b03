"""Runs with several seeds: summary of their scores, and the results of one seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmder_store.errors import SettingsError
from mmder_train.evaluation.metrics import SCORES

Scores = Mapping[str, Any]
"""Scores of one seed, from `build_results.score_strategy`."""


def seed_name(strategy: str, seed: int) -> str:
    """Return the name of a strategy and a seed in the files of a run with several."""
    return f"{strategy}-seed{seed}"


def summarize_seeds(by_seed: Mapping[int, Scores]) -> dict[str, Any]:
    """Return the scores of a strategy that was trained with several seeds.

    They have the form of the scores of one seed, and are means over the seeds. Their
    confusion matrices are sums. ``std`` is the standard deviation over folds, of the
    mean over seeds. ``seed_std`` is that over seeds, of the scores of all clips.

    Args:
        by_seed: Scores by seed.
    """
    every = list(by_seed.values())
    merged = [
        {
            **{name: first[name] for name in ("labels", "title", "classes")},
            **_summarize([scores["merged"][i] for scores in every]),
        }
        for i, first in enumerate(every[0]["merged"])
    ]
    return {
        **_summarize(every),
        "merged": merged,
        "seeds": [{"seed": seed, **scores} for seed, scores in by_seed.items()],
    }


def _summarize(every: Sequence[Scores]) -> dict[str, Any]:
    folds = [
        {
            "fold": same[0]["fold"],
            "speakers": same[0]["speakers"],
            **_mean_scores(same),
        }
        for same in zip(*(scores["folds"] for scores in every), strict=True)
    ]
    values = {name: [fold[name] for fold in folds] for name in SCORES}
    pooled = [scores["pooled"] for scores in every]
    best = [s["best_test_epoch"] for s in every if "best_test_epoch" in s]
    dropped = {
        modality: _summarize([scores["dropped"][modality] for scores in every])
        for modality in every[0].get("dropped", {})
    }
    return {
        "folds": folds,
        "mean": {name: float(np.mean(v)) for name, v in values.items()},
        "std": {name: float(np.std(v)) for name, v in values.items()},
        "pooled": _mean_scores(pooled),
        "seed_std": {
            name: float(np.std([scores[name] for scores in pooled])) for name in SCORES
        },
        "chance": every[0]["chance"],
        **({"best_test_epoch": _means(best)} if best else {}),
        **({"dropped": dropped} if dropped else {}),
    }


def _mean_scores(every: Sequence[Scores]) -> dict[str, Any]:
    """Return the mean over seeds of scores of the same clips."""
    recalls = zip(*(scores["recall"] for scores in every), strict=True)
    return {
        "clips": every[0]["clips"],
        **_means(every),
        "recall": [None if None in r else float(np.mean(r)) for r in recalls],
        "confusion": np.sum([s["confusion"] for s in every], axis=0).tolist(),
    }


def _means(every: Sequence[Scores]) -> dict[str, float]:
    return {name: float(np.mean([s[name] for s in every])) for name in SCORES}


def run_seeds(results: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the seeds of a run, of which a baseline has none.

    Args:
        results: Contents of ``results.json``.
    """
    config = results["config"]
    if config.get("seeds"):
        return tuple(map(int, config["seeds"]))
    return (int(config["seed"]),) if "seed" in config else ()


def file_name(results: Mapping[str, Any], strategy: str, seed: int | None) -> str:
    """Return the name of a strategy in the files of a run.

    Args:
        results: Contents of ``results.json``, of all seeds.
        strategy: Name of the strategy.
        seed: Seed of the files, if the run has several.
    """
    if seed is None or len(run_seeds(results)) < 2:
        return strategy
    return seed_name(strategy, seed)


def results_of_seed(results: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the results of a run as those of a run with one of its seeds only.

    Args:
        results: Contents of ``results.json``.
        seed: One of the seeds.

    Raises:
        SettingsError: If the run was not trained with this seed.
    """
    seeds = run_seeds(results)
    if seed not in seeds:
        known = ", ".join(map(str, seeds)) or "none"
        msg = f"--seed {seed}: not a seed of the run; expected one of {known}"
        raise SettingsError(msg)
    if len(seeds) == 1:
        return dict(results)
    strategies = {}
    for name, scores in results["strategies"].items():
        own = next(s for s in scores["seeds"] if int(s["seed"]) == seed)
        shared = {k: v for k, v in scores.items() if k not in ("seeds", "seed_std")}
        strategies[name] = {**shared, **{k: v for k, v in own.items() if k != "seed"}}
    config = {**results["config"], "seed": seed, "seeds": []}
    return {**results, "config": config, "strategies": strategies}
