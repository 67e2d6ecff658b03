"""Groups of reasons, and the table of speakers and emotions."""

from pathlib import Path

import numpy as np

from mmder_prep.quality.report import counts
from mmder_store import Store


def test_texts_that_differ_only_in_numbers_form_a_group() -> None:
    """The worst status is first, then the largest group; the rest is counted."""
    ids = np.array(list("abcdef"), dtype=object)
    status = np.array(["ok", "ok", "failed", "ok", "no_face", "ok"], dtype=object)
    texts = np.array(["", "ends at 1.5 s", "x", "ends at 20 s", "", "y"], dtype=object)
    groups, hidden = counts.group_reasons(ids, status, texts, limit=3)
    assert [(g.status, g.text, g.clips) for g in groups] == [
        ("failed", "x", 1),
        ("no_face", "", 1),
        ("ok", "ends at N s", 2),
    ]
    assert groups[2].examples == ("b", "d")
    assert hidden == 1


def test_the_cross_table_counts_every_clip_once(planted: Path) -> None:
    """Totals include hidden speakers; speaker 2 is before speaker 10."""
    speakers = np.array(["s10", "s2", "s2", "s1"], dtype=object)
    emotions = np.array(["sad", "sad", "", "angry"], dtype=object)
    table = counts.cross_table(speakers, emotions, rows=2, columns=3)
    assert table.rows == (("s1", (0, 1, 0)), ("s2", (1, 0, 1)))
    assert table.emotions == ("(none)", "angry", "sad")
    assert table.totals == (1, 1, 2)
    assert (table.hidden_speakers, table.hidden_emotions) == (1, 0)
    store = Store(planted)
    (protocol,) = store.spec.protocols
    folds = counts.folds(protocol, store.columns["speaker"])
    assert sum(f.clips for f in folds) == len(store)
