"""Figures of finished runs: their files, and whether they fit into a column."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from fake_runs import make_run
from mmder_train.evaluation.confusion_plot import confusion_figure
from mmder_train.reporting.comparison import compare_runs
from mmder_train.reporting.paper_plots import (
    learning_curves_figure,
    recall_figure,
    row_names,
    scores_figure,
)
from mmder_train.runtime import figure_style
from train_runs import invoke

LONG = ["an-encoder-of-a-very-long-name-that-no-column-can-hold", "tiny$", "small"]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"run-{k}" for k in range(3)]
    for path, encoder in zip(paths, LONG, strict=True):
        make_run(path, encoder=encoder, dropped="audio", skill=0.6)
    return paths


@pytest.fixture
def figures(runs: list[Path]) -> Iterator[dict[str, Figure]]:
    (ranking,) = compare_runs(runs)
    row = ranking.rows[0]
    curves = [
        [{"loss": 1 / k, "val_uar": 0.5, "test_uar": 0.4} for k in range(1, n)]
        for n in (9, 7)
    ]
    with figure_style.paper_style():
        yield {
            "scores": scores_figure(ranking),
            "recall": recall_figure(ranking),
            "confusion": confusion_figure(
                np.asarray(row.confusion), ranking.classes, ""
            ),
            "curves": learning_curves_figure(curves),
        }


def test_text_is_readable_and_inside_the_column(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        assert figure.get_figwidth() == 3.3
        figure.draw_without_rendering()
        shown = [
            text
            for text in figure.findobj(Text)
            if isinstance(text, Text) and text.get_text() and text.get_visible()
        ]
        assert len(shown) > 5
        assert {text.get_fontsize() for text in shown} == {7}, name
        drawn = figure.get_tightbbox()
        assert drawn.x0 >= -0.01, name
        assert drawn.y0 >= -0.01, name
        assert drawn.x1 <= figure.get_figwidth() + 0.01, name
        assert drawn.y1 <= figure.get_figheight() + 0.01, name


def test_each_figure_is_written_in_all_formats(runs: list[Path]) -> None:
    out = runs[0].parent / "figures"
    done = invoke("figures", str(runs[1]), "--out", str(out))
    assert done.exit_code == 0, done.output
    files = sorted(p.name for p in out.iterdir())
    names = {name.rpartition(".")[0] for name in files}
    assert len(files) == 3 * len(names)
    assert {"scores-ravdess-7", "recall-ravdess-7"} <= names
    # The run has one epoch, so there are no curves.
    assert {n for n in names if n.startswith(("confusion", "curves"))} == {
        "confusion-ravdess-7-cfas-tiny",
        "confusion-ravdess-7-cfas-tiny-no-audio",
    }
    head = (out / "scores-ravdess-7.png").read_bytes()[:24]
    assert struct.unpack(">I", head[16:20]) == (990,)
    assert (out / "scores-ravdess-7.pdf").read_bytes().startswith(b"%PDF")


def test_a_file_is_no_folder_for_figures(runs: list[Path]) -> None:
    file = runs[0].parent / "file"
    file.touch()
    done = invoke("figures", str(runs[0]), "--out", str(file))
    assert done.exit_code == 1
    assert "is a file. Choose another folder." in done.stderr


def test_rows_are_named_by_what_differs() -> None:
    assert row_names(["cfas, tiny"]) == ["cfas, tiny"]
    titles = ["cfas, tiny", "cfas, tiny, no audio"]
    assert row_names(titles) == ["cfas", "no audio"]
