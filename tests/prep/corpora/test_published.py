"""The packaged lists of clips and counts agree with the code."""

import csv
from pathlib import Path

import pytest

from mmder_prep.corpora import CORPORA, Corpus
from mmder_prep.corpora.manifest_file import read_manifest
from mmder_prep.corpora.published import write
from mmder_store.protocols import PROTOCOLS

MANIFESTS = Path(__file__).parents[3] / "data_manifests"


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_the_packaged_list_is_the_published_one(corpus: Corpus, tmp_path: Path) -> None:
    """`make manifests` writes the lists."""
    name = f"{corpus.name}.csv"
    with (tmp_path / name).open("w", encoding="utf-8", newline="") as out:
        write(corpus.published(modality="av"), out)
    same = (tmp_path / name).read_bytes() == (MANIFESTS / name).read_bytes()
    assert same, f"data_manifests/{name} differs from the code; run make manifests"


@pytest.mark.parametrize("corpus", CORPORA[:2], ids=lambda c: c.name)
def test_the_packaged_list_is_a_manifest(corpus: Corpus) -> None:
    """It has the same clips, and the folds of the literature as its own."""
    expected = corpus.published(modality="av")
    manifest = read_manifest(MANIFESTS / f"{corpus.name}.csv", root=None)
    assert manifest.rows == expected.rows
    fold_of = {row.speaker: row.fold for row in expected.rows}
    assert manifest.protocols[0].fold_of == fold_of


@pytest.mark.parametrize("name", ["iemocap", "mead"])
def test_only_counts_of_licensed_corpora_are_packaged(name: str) -> None:
    with (MANIFESTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert table[0].keys() == {"column", "value", "clips"}
    assert {line["column"] for line in table} == {"emotion", "speaker"}


@pytest.mark.parametrize("fold", range(1, 6))
def test_the_folds_of_mead_are_in_the_data_sheet(fold: int) -> None:
    """They are defined by this project, so they must be documented."""
    fold_of = PROTOCOLS["mead-speakers-5"].fold_of
    tested = sorted(speaker for speaker, k in fold_of.items() if k == fold)
    text = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    assert f"| {fold} | {' '.join(tested)} |" in text
