"""The documentation describes the code as it is."""

import importlib.util
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rich_click as click

from fake_store import make_store
from mmder_prep.cli.main import add_corpora
from mmder_prep.cli.main import cli as prep
from mmder_train.cli.main import cli as train
from mmder_train.experiment.feature_file import write_features
from mmder_train.experiment.feature_table import FeatureTable

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
LONGEST_README = 150

if "ravdess" not in prep.commands:
    add_corpora()
PROGRAMS: dict[str, click.Group] = {"mmder-prep": prep, "mmder-train": train}


def command_lines() -> list[str]:
    """Return every command of the documentation, with continued lines joined."""
    lines: set[str] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^(?: {4})?(\S.*)$", text, re.MULTILINE):
            found = re.search(r"(?:^|--no-python )(mmder-(?:prep|train) .*)$", line)
            if found and "[OPTIONS]" not in line:
                lines.add(found[1])
    return sorted(lines)


def load_script(name: str) -> ModuleType:
    """Import a script of the documentation."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST_README


def test_readme_starts_with_the_two_commands() -> None:
    commands = command_lines()
    assert "mmder-prep ravdess --out store/" in commands
    assert "mmder-train --store store/ --strategy cfas" in commands


def test_generated_pages_are_those_of_the_code() -> None:
    """`make reference` would change nothing."""
    for path, make in load_script("generate").pages().items():
        assert path.read_text(encoding="utf-8") == make(), path.name


def test_every_command_and_option_has_help() -> None:
    for group in PROGRAMS.values():
        assert group.help
        for command in (group, *group.commands.values()):
            assert command.help
            for option in command.params:
                assert isinstance(option, click.Argument) or option.help


def test_there_are_commands_in_the_documentation() -> None:
    assert len(command_lines()) > 20


@pytest.mark.parametrize("line", command_lines())
def test_documented_commands_exist_with_their_options(line: str) -> None:
    words = shlex.split(line, comments=True)
    command: click.Command = PROGRAMS[words[0]]
    while (
        isinstance(command, click.Group) and words[1:] and words[1] in command.commands
    ):
        command, words = command.commands[words[1]], words[1:]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    used = {w for w in words[1:] if w.startswith("--")}
    assert used <= known | {"--help", "--version"}


def test_relative_links_of_the_readme_exist() -> None:
    text = README.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    local = [t for t in targets if not t.startswith("http")]
    assert local
    for target in local:
        assert (ROOT / target).exists(), target


def test_site_builds_strictly(tmp_path: Path) -> None:
    """No link is broken, no page is missing, and nothing is fetched."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "assets/overview.svg" in home
    for page in tmp_path.rglob("*.html"):
        # A snippet that was not included shows its markup.
        assert "--8" not in page.read_text(encoding="utf-8"), page
    own_model = (tmp_path / "how-to" / "own-model.html").read_text(encoding="utf-8")
    assert "LazyLinear" in own_model, "the examples are not included"
    fetched = re.findall(r'(?:src|<link[^>]*href)="https?://[^"]+"', home)
    assert not [f for f in fetched if "canonical" not in f]


@pytest.mark.parametrize(
    ("example", "printed"),
    [
        ("read_store", "16 clips, arrays: "),
        ("train_own_model", "clips of unseen speakers are correct"),
        ("extract_features", "(4, 96)"),
    ],
)
def test_examples_run(
    example: str,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_store(tmp_path / "store", clips=16, speakers=4)
    script = str(DOCS / "examples" / f"{example}.py")
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path / "store")])
    runpy.run_path(script, run_name="__main__")
    assert printed in capsys.readouterr().out


def test_metrics_are_plotted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = {"strategy": "cfas", "fold": 1, "seed": 0}
    rows = [{**tags, "epoch": n, "loss": 1 / n} for n in (1, 2, 3)]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "metrics.jsonl").write_text(lines)
    script, plot = DOCS / "examples" / "plot_metrics.py", tmp_path / "loss.svg"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path), str(plot)])
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out == f"3 epochs in {plot}\n"
    assert plot.read_text().count("<svg") == 1


def test_example_of_features_trains_on_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Classes that are far apart are recognized; the clip of no fold is not used."""
    classes = ("happy", "sad")
    label = np.arange(13) % 2
    table = FeatureTable(
        clip_id=tuple(f"c{i}" for i in range(13)),
        speaker=tuple(str(i // 4) for i in range(13)),
        emotion=tuple(classes[i] for i in label),
        class_name=tuple(classes[i] for i in label),
        folds={"ravdess-contiguous-6": np.array([1] * 4 + [2] * 4 + [5] * 4 + [-1])},
        seen=np.zeros(13, bool),
        features={"cfas": np.array([[i, 0.1 * k] for k, i in enumerate(label)], "f4")},
        metadata={},
    )
    features, predictions = tmp_path / "f.npz", tmp_path / "p.csv"
    write_features(features, table)
    script = str(DOCS / "examples" / "classify_features.py")
    monkeypatch.setattr(sys, "argv", [script, str(features), str(predictions)])
    runpy.run_path(script, run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed[:3]] == [
        "fold 1",
        "fold 2",
        "fold 5",
    ]
    assert printed[-1] == "all folds: WAR 100.0%, UAR 100.0%"
    rows = [f"c{i},{classes[i % 2]}" for i in range(12)]
    assert predictions.read_text().split() == ["clip_id,predicted", *rows]


def test_example_lists_a_generated_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("01-01-03-01-01-01-07.mp4", "01-01-08-01-01-01-07.mp4"):
        path = tmp_path / "sample" / "Actor_07" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    script, listed = str(DOCS / "examples" / "list_sample.py"), tmp_path / "other.csv"
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path / "sample"), str(listed)])
    runpy.run_path(script, run_name="__main__")
    assert listed.read_text().split() == [
        "clip_id,path,emotion,speaker",
        "01-01-03-01-01-01-07,sample/Actor_07/01-01-03-01-01-01-07.mp4,happy,Actor_07",
    ]


def test_no_host_and_no_path_in_the_pins() -> None:
    """requirements.lock pins versions and names no host or path."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "//" not in lock
    assert all("==" in line for line in lock.splitlines() if line.strip())
