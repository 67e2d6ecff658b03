"""Check the predictions of another program against a store and a protocol."""

from pathlib import Path

from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.data import folds
from mmder_train.data.selection import (
    choose_labels,
    excluded_text,
    labeled_speakers,
    select_clips,
)
from mmder_train.evaluation.foreign_predictions import (
    CHECKED_COLUMNS,
    read_predictions,
)
from mmder_train.evaluation.foreign_run import ForeignRun, Modality, slug
from mmder_train.evaluation.train_list import read_train_list
from mmder_train.fusion.strategies import STRATEGIES

CLIPS_OF: dict[Modality, str] = {"av": "cfas", "audio": "audio", "video": "video"}
"""A strategy that uses the same clips, by modality."""


def setup_foreign_run(
    path: Path,
    store: Store,
    *,
    name: str | None,
    modality: Modality | None,
    labels: str,
    protocol: str,
    fold: int | None,
    train_list: Path | None,
) -> ForeignRun:
    """Check predictions against a store.

    Args:
        path: CSV file of predictions.
        store: A sealed store with the clips.
        name: Name in tables. None for the name of the file.
        modality: Input of the other program. It determines which clips are expected.
            None for video and audio, as far as the store has both.
        labels: Label set. Empty for the store's first.
        protocol: Fold protocol. Empty for the store's first.
        fold: Number of the only fold that is scored, None for all.
        train_list: CSV file of the training clips of the other program.

    Raises:
        SettingsError: If clips are missing, unknown or listed twice, if classes are
            unknown, if folds, speakers or true classes differ from those of the store,
            or if a training clip is of a speaker that is tested.
    """
    name = name or path.stem
    if not slug(name):
        msg = f"--name {name}: expected a name with letters or digits"
        raise SettingsError(msg)
    label_set = choose_labels(store, labels)
    modality = _check_modality(modality, store)
    speakers = labeled_speakers(store, label_set)
    chosen = folds.choose_protocol(protocol, store.spec.protocols, speakers)
    clips = select_clips(
        store, strategy=STRATEGIES[CLIPS_OF[modality]], labels=label_set
    )
    split = folds.split(clips.speaker, chosen)
    tested = folds.select_folds(split, fold, chosen)
    predictions = read_predictions(path, label_set.classes)
    warnings = folds.fold_warnings(split, chosen, clips.label, label_set.classes)
    if clips.excluded:
        warnings.insert(0, excluded_text(clips.excluded))
    train = None if train_list is None else read_train_list(train_list)
    unchecked = []
    if train is not None:
        unchecked = train.check(
            store, {f.number: frozenset(f.speakers) for f in tested}
        )
    run = ForeignRun(
        name=name,
        modality=modality,
        store=store,
        labels=label_set,
        protocol=chosen.name,
        fold=fold,
        clips=clips,
        tested=tested,
        predictions=predictions,
        train_list=train,
        speakers_checked=train is not None and not unchecked,
        warnings=[*warnings, *unchecked],
    )
    run.warnings.extend(_check_clips(run))
    _check_columns(run)
    return run


def _check_modality(modality: Modality | None, store: Store) -> Modality:
    has_video = "frames" in store
    if modality in ("av", "video") and not has_video:
        msg = (
            f"--modality {modality}: store {store.path.name} has only audio. Use "
            "--modality audio."
        )
        raise SettingsError(msg)
    return modality or ("av" if has_video else "audio")


def _check_clips(run: ForeignRun) -> list[str]:
    """Check that the file has all expected clips and no unknown ones.

    Returns:
        Warnings about clips and columns that are not used.
    """
    predictions, store = run.predictions, run.store
    known = set(map(str, store.columns["clip_id"]))
    unknown = [i for i, c in enumerate(predictions.clip_id) if c not in known]
    if unknown:
        raise predictions.file.error(
            unknown[0],
            f"no clip {predictions.clip_id[unknown[0]]!r} in store {store.path.name} "
            f"({len(unknown)} such); expected clip ids of the store",
        )
    listed = set(predictions.clip_id)
    expected = [run.clips.clip_id[i] for f in run.tested for i in f.test]
    missing = [c for c in expected if c not in listed]
    if missing:
        complete = [
            f.number
            for f in run.tested
            if listed.issuperset(run.clips.clip_id[i] for i in f.test)
        ]
        advice = f" Use --fold {complete[0]} to score that fold." if complete else ""
        msg = (
            f"{predictions.file.name}: no prediction for {len(missing)} of "
            f"{len(expected)} clips that protocol {run.protocol} tests, the first "
            f"{missing[0]!r}; expected all of them.{advice}"
        )
        raise SettingsError(msg)
    warnings = list(predictions.file.warnings)
    rest = len(listed) - len(expected)
    if rest:
        warnings.append(
            f"{rest} predictions are not scored: their clips are not tested by "
            f"{run.protocol}, have no class in {run.labels.name}, or lack the face, "
            "video or audio"
        )
    ignored = predictions.ignored_columns
    if ignored:
        warnings.append(f"columns that are not used: {', '.join(ignored)}")
    return warnings


def _check_columns(run: ForeignRun) -> None:
    """Check that folds, speakers and true classes of the file are those of the store.

    Only clips that are scored are compared.
    """
    predictions, clips = run.predictions, run.clips
    position = {c: i for i, c in enumerate(clips.clip_id)}
    fold_of = {int(i): f.number for f in run.tested for i in f.test}
    cells = {
        name: predictions.file.column(name)
        for name in CHECKED_COLUMNS
        if name in predictions.file.columns
    }
    for row, clip_id in enumerate(predictions.clip_id):
        i = position.get(clip_id)
        if i is None or i not in fold_of:
            continue
        if predictions.fold is not None and predictions.fold[row] != fold_of[i]:
            raise predictions.file.error(
                row,
                f"clip {clip_id!r} in fold {predictions.fold[row]}, but protocol "
                f"{run.protocol} tests speaker {clips.speaker[i]!r} in fold "
                f"{fold_of[i]}. Name the protocol of the folds with --protocol.",
            )
        stored = {
            "speaker": clips.speaker[i],
            "true": run.labels.classes[clips.label[i]],
        }
        for name, column in cells.items():
            if column[row] != stored[name]:
                raise predictions.file.error(
                    row,
                    f"clip {clip_id!r} has {name} {column[row]!r}, but "
                    f"{stored[name]!r} in the store; expected the same",
                )
