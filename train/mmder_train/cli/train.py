"""Training: from parsed options to a finished run and its tables."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import rich_click as click


def resolved_settings(
    given: dict[str, Any], *, recipe: str | None, weights: str
) -> dict[str, Any]:
    """Return the settings of a run, by their names in `TrainConfig`.

    Settings that are left to the store, the weights or `TrainConfig` are missing or
    empty. ``seed`` is a tuple.

    Args:
        given: Settings named on the command line or in a file.
        recipe: Name of a preset.
        weights: Initial weights of the encoder, or ``none``.

    Raises:
        SettingsError: If the recipe does not fit.
    """
    from mmder_train.config.recipes import resolve_settings

    if "strategies" in given:
        names = tuple(n for names in given["strategies"] for n in names)
        given = {**given, "strategies": names}
    usual = {"strategies": ("cfas",), "encoder": "", "labels": "", "protocol": ""}
    resolved = resolve_settings(given, recipe, pretrained=weights != "none")
    return usual | resolved | {"weights": weights}


def train(
    given: dict[str, Any],
    *,
    store: Path,
    test_stores: tuple[Path, ...],
    weights: str,
    recipe: str | None,
    resume: Path | None,
    out: Path | None,
    device: str,
    workers: int | None,
    feature_cache: str | None,
    save_every: float,
    save_weights: bool,
    shard_weights: bool,
    tensorboard: bool,
) -> None:
    """Train and test every fold, and print the tables.

    Args:
        given: Settings named on the command line; all others come from the recipe and
            from the defaults of the method.
        store: Path of the sealed store.
        test_stores: Paths of other stores to test on, after training on all clips.
        weights: Initial weights of the encoder, or ``none``.
        recipe: Name of a preset.
        resume: Folder of a run to resume with its own settings.
        out: Folder for the results.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: Number of threads that read the store.
        feature_cache: Folder of cached features, or ``none``.
        save_every: Minutes between checkpoints.
        save_weights: Save the weights of each fold.
        shard_weights: Divide weights, gradients and moments among the processes.
        tensorboard: Write scalars for TensorBoard.

    Raises:
        MmderError: If the settings, the store and the weights do not fit each other.
    """
    from rich.console import Console

    from mmder_cli.output_folder import check_output_folder
    from mmder_store import Store
    from mmder_store.errors import SettingsError
    from mmder_train.cli.open_run import open_run
    from mmder_train.config.train_config import TrainConfig
    from mmder_train.data.reader_threads import default_readers
    from mmder_train.evaluation import tables
    from mmder_train.evaluation.run_directory import RunDirectory
    from mmder_train.experiment import setup
    from mmder_train.experiment.cross_corpus_setup import setup_cross_corpus_tests
    from mmder_train.experiment.cross_validation import cross_validate
    from mmder_train.experiment.feature_cache import cache_dir
    from mmder_train.runtime import distributed
    from mmder_train.runtime.device import choose_device
    from mmder_train.runtime.sharding import check_shardable

    chosen = choose_device(device)
    if resume is None:
        found = resolved_settings(given, recipe=recipe, weights=weights)
        seeds = found.pop("seed", (0,))
        config = TrainConfig(
            **found,
            seed=seeds[0],
            seeds=seeds if len(seeds) > 1 else (),
            device=chosen,
        )
    else:
        if given or recipe or out:
            names = [f"--{n.replace('_', '-')}" for n in given] or ["--recipe, --out"]
            msg = f"--resume takes all settings from {resume}: leave out {names[0]}"
            raise SettingsError(msg)
        out = resume
        others = RunDirectory(path=resume).test_stores()
        if others and not test_stores:
            msg = (
                f"--resume {resume}: the run is tested on {', '.join(others)}, too. "
                "Name the path of each with --test-store."
            )
            raise SettingsError(msg)
        config = TrainConfig.from_json(RunDirectory(path=resume).config())
        config = replace(config, device=chosen, weights=weights)
    if out is not None:
        check_output_folder(out)
    with distributed.distributed_context(chosen) as world:
        if shard_weights:
            check_shardable(
                method=config.method,
                world_size=world.world_size,
                compiled=config.compile,
            )
        features = cache_dir(store, feature_cache, method=config.method)
        experiment = setup.setup_experiment(Store(store), config, features)
        tests = setup_cross_corpus_tests(
            experiment,
            [
                (Store(path), cache_dir(path, feature_cache, method=config.method))
                for path in test_stores
            ],
        )
        experiment = replace(
            experiment, test_stores=tuple(test.to_json() for test in tests)
        )
        directory = RunDirectory(path=out or experiment.default_run_dir())
        with open_run(
            directory,
            experiment.identity(),
            world=world,
            workers=default_readers(config.device) if workers is None else workers,
            save_every_min=save_every,
            tensorboard=tensorboard,
            shard_weights=shard_weights,
        ) as context:
            results = cross_validate(
                experiment,
                directory,
                save_weights=save_weights,
                context=context,
                cross_corpus_tests=tests,
            )
        if world.is_primary:
            tables.print_tables(results, directory, Console())
            following = "predict CLIP --run" if save_weights else "compare"
            run_dir = shlex.quote(str(directory.path))
            click.echo(f"next: mmder-train {following} {run_dir}", err=True)
