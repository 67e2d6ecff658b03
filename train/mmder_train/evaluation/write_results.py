"""Write predictions, confusion images and merged tables of a finished run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmder_store.atomic_files import atomic_write
from mmder_train.evaluation.class_merging import ClassMerge
from mmder_train.evaluation.confusion_plot import draw_confusion
from mmder_train.evaluation.run_directory import (
    FoldResult,
    RunDirectory,
    table_without,
)
from mmder_train.runtime.figure_style import IMAGE_FORMATS


def write_results(
    directory: RunDirectory,
    results: Mapping[str, Any],
    fold_results: Mapping[str, Sequence[FoldResult]],
    *,
    merges: Iterable[ClassMerge] = (),
) -> None:
    """Write all files of a finished run. ``results.json`` is the last one.

    Args:
        directory: Folder of the run.
        results: Contents of ``results.json``.
        fold_results: Results of the folds by strategy, and seed if there are several.
        merges: Label sets with fewer classes; each adds a table of predictions.
    """
    classes, merges = results["classes"], tuple(merges)
    for name, records in fold_results.items():
        _write_predictions(directory, name, records, classes)
        for merge in merges:
            _write_predictions(
                directory,
                f"{name}-{merge.labels.name}",
                [merge.merge(r) for r in records],
                merge.labels.classes,
            )
    for strategy, scores in results["strategies"].items():
        for image_format in IMAGE_FORMATS:
            with atomic_write(directory.confusion(strategy, image_format)) as draft:
                draw_confusion(
                    draft,
                    strategy,
                    scores,
                    classes,
                    config=results.get("config", {}),
                    image_format=image_format,
                )
    directory.finish(results)


def _write_predictions(
    directory: RunDirectory,
    table: str,
    fold_results: Sequence[FoldResult],
    classes: Sequence[str],
) -> None:
    """Write the predictions of a table, and those without each dropped modality."""
    directory.write_predictions(table, fold_results, classes)
    for name in fold_results[0].dropped if fold_results else ():
        directory.write_predictions(
            table_without(table, name), [r.without(name) for r in fold_results], classes
        )
