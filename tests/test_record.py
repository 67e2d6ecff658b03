"""The benchmark framework: regressions and the comparison of figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import record
from record import Figure

SIZES = st.floats(1e-3, 1e3)


def figure(value: float, better: Literal["less", "more"], unit: str = "x") -> Figure:
    return Figure(name="speed", value=value, unit=unit, better=better, goal=1.0)


@given(now=SIZES, last=SIZES)
def test_worsening_has_the_sign_of_better(now: float, last: float) -> None:
    less, more = figure(now, "less"), figure(1 / now, "more")
    assert (less.worsening(last) > 0) == (now / last > 1)
    assert less.worsening(last) == pytest.approx(more.worsening(1 / last))
    assert less.met == (now <= 1)
    assert figure(now, "more").met == (now >= 1)


def test_noise_and_negligible_changes_are_not_worse() -> None:
    assert not figure(1.2, "less").worse(1.0)
    assert figure(1.3, "less").worse(1.0)
    assert figure(0.7, "more").worse(1.0)
    assert figure(1.2, "less", "kB/clip").worse(1.0)
    assert not figure(9.0, "less", "ms/clip").worse(1.0), "times are not compared"
    assert not figure(0.04, "less").worse(0.01), "below a twentieth of the goal"
    assert replace(figure(0.04, "less"), goal=None).worse(0.01)
    assert not figure(-9.0, "less").worse(-1.0), "a larger decrease is an improvement"


def test_tasks_are_interleaved_and_ratios_are_per_round() -> None:
    """A machine that becomes ten times slower between rounds changes no ratio."""
    slowdown, now, runs = [1.0], [0.0], list[str]()

    def task(name: str, seconds: float) -> None:
        runs.append(name)
        now[0] += seconds * slowdown[0]
        slowdown[0] *= 1.0 if len(runs) % 2 else 10.0

    times = record.interleaved(
        {"one": lambda: task("one", 3.0), "other": lambda: task("other", 2.0)},
        rounds=4,
        clock=lambda: now[0],
    )
    assert len(runs) == 10
    assert all(set(runs[i : i + 2]) == {"one", "other"} for i in range(0, 10, 2))
    assert record.ratio(times, "one", "other") == pytest.approx(1.5)


def test_figures_are_saved_and_shown_next_to_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ratios are compared with recorded ones, times are not."""
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results.json")
    record.save({"a": [figure(2.0, "more")], "b": [figure(2.0, "less", "s")]})
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["a"]["machine"]["processor"]
    record.show({"a": [figure(1.5, "more")], "b": [figure(9.0, "less", "s")]}, results)
    output = capsys.readouterr().out
    assert "worse by 33%" in output
    assert "worse by 350%" not in output
    assert "misses its goal" in output
    record.save({"b": [figure(3.0, "less", "s")]})
    saved = record.recorded()
    assert saved["a"]["figures"]["speed"]["value"] == 2.0
    assert saved["b"]["figures"]["speed"]["value"] == 3.0
