"""Published rows are complete, and agree with the text of the paper."""

import pytest

from mmder_prep.corpora import dfew, mafw
from mmder_store.emotions import LABEL_SETS
from mmder_store.protocols import PROTOCOLS
from mmder_train.reporting import published_results

OF_CLIPS = (dfew.CORPUS.protocol, mafw.CORPUS.protocol)
"""Folds that are read from lists of the corpus."""


def test_published_rows_are_complete() -> None:
    paper = [r for r in published_results.ROWS if "Xiang et al. 2024" in r.source]
    sizes = {
        t: sum(r.source.endswith(f"Table {t}") for r in paper)
        for t in ("I", "II", "III")
    }
    assert sizes == {"I": 19, "II": 17, "III": 11}
    for row in published_results.ROWS:
        scores = [s for s in (row.war, row.uar) if s is not None]
        assert scores
        assert all(0 < score < 100 for score in scores)
        assert (row.setting.labels is None) == (row.setting.classes is None)
        if row.setting.labels in LABEL_SETS:
            classes = LABEL_SETS[row.setting.labels].classes
            assert len(classes) == row.setting.classes
        if row.setting.protocol is not None:
            assert row.setting.protocol in {*PROTOCOLS, *OF_CLIPS}
            assert row.setting.protocol.startswith(row.corpus)
    # Paper: IV-C, "by 4.41 % (83.61 % vs. 79.20 %)", 2.06 and 1.86.
    best = {
        c: max((r for r in paper if r.corpus == c), key=lambda r: r.war or 0)
        for c in ("ravdess", "cremad", "iemocap")
    }
    assert {r.method for r in best.values()} == {"MultiMAE-DER-FSLF"}
    second = {
        "ravdess": ("AVT", 4.41),
        "cremad": ("RAVER", 2.06),
        "iemocap": ("AVBERT", 1.86),
    }
    for corpus, (method, margin) in second.items():
        (row,) = [r for r in paper if (r.corpus, r.method) == (corpus, method)]
        assert (best[corpus].war or 0) - (row.war or 0) == pytest.approx(margin)
