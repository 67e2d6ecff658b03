"""Settings from a file, and settings written to one."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fake_store import make_store
from train_runs import invoke, read_results


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let relative paths of the tests name files of their own."""
    monkeypatch.chdir(tmp_path)


def saved(*words: str) -> dict[str, Any]:
    """Return the settings that these options set, and no training is started."""
    done = invoke(*words, "--save-config", "saved.toml")
    assert done.exit_code == 0, done.output
    return tomllib.loads(Path("saved.toml").read_text())


def write(text: str, name: str = "in.toml") -> str:
    Path(name).write_text(text)
    return name


EVERY = """
store = "s.zarr"
strategy = ["cfas", "rfas"]
seed = [3, 1]
fold = 2
lr = 1
batch-size = 4
mask = 0.25
rfas_resample = true
pos_embed = false
method = "finetune"
save_weights = true
allow-missing = ["fc_norm"]
weights = "w.pth"
"""


def test_a_file_sets_options_by_their_names() -> None:
    """With dashes or underscores; lists for options that take several values."""
    settings = saved("--config", write(EVERY))
    assert settings == {
        "store": "s.zarr",
        "strategies": ["cfas", "rfas"],
        "seed": [3, 1],
        "fold": 2,
        "lr": 1.0,
        "batch_size": 4,
        "mask": 0.25,
        "rfas_resample": True,
        "pos_embed": False,
        "method": "finetune",
        "save_weights": True,
        "allow_missing": ["fc_norm"],
        "weights": "w.pth",
    }
    # A saved file is read again, and saved as it is.
    before = Path("saved.toml").read_text()
    assert saved("--config", "saved.toml") == settings
    assert Path("saved.toml").read_text() == before
    # The other settings are comments, with the defaults of the method.
    assert "# label_smoothing = 0.1\n" in before
    assert "# epochs = 30\n" in before


def test_options_precede_the_file_which_precedes_the_recipe() -> None:
    file = write('recipe = "scratch"\nepochs = 7\nbatch_size = 9\n')
    settings = saved("--config", file, "--epochs", "5", "--no-pos-embed")
    assert settings == {
        "recipe": "scratch",
        "epochs": 5,
        "batch_size": 9,
        "pos_embed": False,
    }
    comments = Path("saved.toml").read_text()
    # Of the recipe, and of no one.
    assert "# lr = 0.002\n" in comments
    assert "# drop_path = 0.0\n" in comments


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("epoch = 3", "unknown setting epoch; the nearest one is epochs"),
        ("Batchsize = 3", "unknown setting Batchsize; the nearest one is batch_size"),
        ("[optimizer]\nlr = 1", "unknown setting optimizer; the nearest one is"),
        ("resume = 'a'", "unknown setting resume; the nearest one is"),
        ("lr = '0.1'", 'lr is "0.1": expected a number'),
        ("lr = true", "lr is true: expected a number"),
        ("epochs = 2.0", "epochs is 2.0: expected an integer"),
        ("batch-size = [1]", "batch-size is [1]: expected an integer"),
        ("save_weights = 1", "save_weights is 1: expected true or false"),
        ("seed = 1.5", "seed is 1.5: expected an integer, or a list of integers"),
        ("seed = []", "seed is []: expected an integer, or a list of integers"),
        ("strategy = [1]", "strategy is [1]: expected a text, or a list of texts"),
        ("strategy = 'x'", "strategy is [\"x\"]: 'x' is not one of cfas"),
        ("encoder = 'titan'", "encoder is \"titan\": 'titan' is not one of 'tiny'"),
        ("labels = 7", "labels is 7: expected a text"),
        ("fold = 0", "fold is 0: 0: expected a number from 1, or all"),
        ("workers = -1", "workers is -1: -1 is not in the range"),
        ("store = 2024-01-01", 'store is "2024-01-01": expected a text'),
        ("out = 's3://a/b'", "s3://a/b"),
        ("batch_size = 1\nbatch-size = 2", "batch-size is set twice"),
        ("lr = ", "not TOML ("),
        ("\xff", "not TOML ("),
        ("a = " + 9000 * "[", "not TOML ("),
    ],
)
def test_a_wrong_file_is_one_line(text: str, error: str) -> None:
    Path("in.toml").write_bytes(text.encode("latin-1"))
    done = invoke("--config", "in.toml", "--save-config", "saved.toml")
    assert done.exit_code == 1
    assert done.stderr.startswith("mmder-train: error: ")
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("saved.toml").exists()
    missing = invoke("--config", "none.toml")
    assert missing.stderr == (
        "mmder-train: error: none.toml: No such file or directory\n"
    )


def test_the_results_of_a_run_are_settings(small_encoder: None) -> None:
    """A run with them is the same run, which is printed and not repeated."""
    make_store(Path("s.zarr"), clips=16, speakers=2, modality="audio")
    words = ("--store", "s.zarr", "--device", "cpu")
    first = invoke(
        *(*words, "--strategy", "audio", "--epochs", "2", "--seed", "4,2"),
        *("--weight-decay", "0", "--out", "a"),
    )
    assert first.exit_code == 0, first.output
    again = invoke(*words, "--config", "a/results.json", "--out", "a")
    assert again.exit_code == 0, again.output
    assert again.stdout == first.stdout
    other = invoke(*words, "--config", "a/run.json", "--lr", "0.5", "--out", "b")
    assert other.exit_code == 0, other.output
    assert read_results("b")["config"] == read_results("a")["config"] | {"lr": 0.5}


def test_a_scaled_learning_rate_is_scaled_again() -> None:
    """The rate of a run is not taken for one that the user named."""
    config = {
        "weights": "w.pth",
        "weights_sha256": "0",
        "weights_format": "videomae",
        "recipe": "videomae",
        "base_lr": 1e-3,
        "lr": 6.25e-5,
        "batch_size": 16,
        "method": "finetune",
        "fold": None,
        "device": "cuda",
        "seeds": [],
        "allow_missing": [],
        "strategies": ["cfas"],
        "encoder": "base",
    }
    file = write(json.dumps({"config": config}), "results.json")
    refused = invoke("--config", file, "--save-config", "saved.toml")
    assert refused.exit_code == 1
    assert "the run started from weights w.pth" in refused.stderr
    assert "Add --weights PATH, or --weights none." in refused.stderr
    settings = saved("--config", file, "--weights", "x/w.pth", "--batch-size", "32")
    assert "lr" not in settings
    assert "device" not in settings
    assert settings["weights"] == "x/w.pth"
    assert f"# lr = {1e-3 * 32 / 256}\n" in Path("saved.toml").read_text()
    for text in ("[]", '{"config": 3}', "{}"):
        done = invoke("--config", write(text, "other.json"))
        assert "other.json: no settings of a run; expected its" in done.stderr
    assert "not JSON (" in invoke("--config", write("{", "x.json")).stderr


def test_a_pre_training_reads_a_file() -> None:
    words = ("pretrain", "--config", write("store = 'none.zarr'\nout = 'a'\n"))
    assert "store none.zarr" in invoke(*words, "--device", "cpu").stderr
    wrong = invoke("pretrain", "--config", write("mask_vide = 0.5"))
    assert "unknown setting mask_vide; the nearest one is mask_video" in wrong.stderr
    wrong = invoke("pretrain", "--config", write("base_lr = 'x'"))
    assert 'base_lr is "x": expected a number' in wrong.stderr
    before = invoke("--config", write("lr = 0.1"), "weights", "f")
    assert before.exit_code == 2
    assert "--config, --lr before 'weights' would be ignored" in " ".join(
        before.stderr.split()
    )


def test_the_file_of_the_documentation_is_read() -> None:
    page = Path(__file__).parents[3] / "docs/how-to/settings-file.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    settings = saved("--config", write(example))
    assert settings["strategies"] == ["cfas", "fslf"]
    assert settings["class_weights"] == "balanced"
    assert len(settings) == 6
