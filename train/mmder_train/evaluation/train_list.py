"""Training clips of another program, to check that no tested speaker is among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmder_store import Store
from mmder_store.errors import SettingsError
from mmder_train.evaluation.csv_file import CsvFile, read_csv
from mmder_train.evaluation.foreign_predictions import fold_column


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainList:
    """A list of training clips, of one model or of one model per fold."""

    file: CsvFile
    clip_id: tuple[str, ...]
    fold: tuple[int, ...] | None
    """Fold whose model was trained on each clip. None for one model for all folds."""

    def check(self, store: Store, tested: Mapping[int, frozenset[str]]) -> list[str]:
        """Check that no speaker is both trained and tested on.

        Args:
            store: Store that the speakers of the clips are read from.
            tested: Tested speakers by fold.

        Returns:
            Warnings. Empty if all speakers were checked.

        Raises:
            SettingsError: If a speaker is on both sides, if a tested fold has no
                training clip, or if the store has none of the clips.
        """
        columns = store.columns
        speaker_of = dict(
            zip(map(str, columns["clip_id"]), columns["speaker"], strict=True)
        )
        every = frozenset[str]().union(*tested.values())
        for row, clip_id in enumerate(self.clip_id):
            speaker = speaker_of.get(clip_id)
            fold = None if self.fold is None else self.fold[row]
            known = every if fold is None else tested.get(fold, frozenset())
            if speaker is not None and str(speaker) in known:
                where = "" if fold is None else f" in fold {fold}"
                raise self.file.error(
                    row,
                    f"clip {clip_id!r} was trained on, and its speaker {speaker!r} is "
                    f"tested{where}; expected different speakers. Such predictions are "
                    "not scored.",
                )
        if self.fold is not None and set(tested) - set(self.fold):
            fold = min(set(tested) - set(self.fold))
            msg = f"{self.file.name}: no training clip of fold {fold}; expected some"
            raise SettingsError(msg)
        unknown = [c for c in self.clip_id if c not in speaker_of]
        if len(unknown) == len(self.clip_id):
            msg = (
                f"{self.file.name}: none of its clips is in store {store.path.name}, "
                f"the first is {unknown[0]!r}; expected clip ids of the store"
            )
            raise SettingsError(msg)
        if unknown:
            return [
                f"{len(unknown)} of {len(self.clip_id)} training clips in "
                f"{self.file.name} are not in the store: their speakers were not "
                "checked"
            ]
        return []


def read_train_list(path: Path) -> TrainList:
    """Read a CSV file with the column ``clip_id``, and ``fold`` if there are several.

    Raises:
        SettingsError: If it is not such a file.
    """
    file = read_csv(path, required=["clip_id"])
    return TrainList(
        file=file,
        clip_id=tuple(file.column("clip_id")),
        fold=fold_column(file) if "fold" in file.columns else None,
    )
