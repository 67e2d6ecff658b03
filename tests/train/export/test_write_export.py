"""A run is exported as a folder that other programs load, with the same logits."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import VideoMAEForVideoClassification, VideoMAEImageProcessor

from mmder_train.export.onnx import probe_clips
from mmder_train.inference.trained_run import load_trained_run
from mmder_train.weights import load_weights
from train_runs import invoke, read_results


def export(run: Path, folder: Path, *words: str) -> Any:
    return invoke("export", str(run), "--to", "huggingface", str(folder), *words)


@torch.inference_mode()
def logits_of_run(run: Path, clips: torch.Tensor) -> torch.Tensor:
    (ensemble,) = load_trained_run(run, strategy="sfas", fold=2, device="cpu").ensembles
    logits: torch.Tensor = ensemble.heads[0](ensemble.encoder(clips))
    return logits


@pytest.fixture(scope="module")
def folder(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf") / "model"
    done = export(finished_run, folder, "--strategy", "sfas", "--fold", "2")
    assert done.exit_code == 0, done.output
    assert done.output == f"model: {folder}\n"
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    return folder


def test_transformers_computes_the_same_logits(
    finished_run: Path, folder: Path
) -> None:
    loader: Any = VideoMAEForVideoClassification
    model, info = loader.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    clips = probe_clips(2)
    ours = logits_of_run(finished_run, clips)
    with torch.inference_mode():
        without = model.eval()(clips.transpose(1, 2)).logits
        model.fc_norm.eps = 1e-6
        theirs = model(clips.transpose(1, 2)).logits
    assert (theirs - ours).abs().max() < 1e-5
    stated = re.search(r"differ by up to (\S+) on", (folder / "README.md").read_text())
    assert stated is not None
    assert float(stated[1]) == pytest.approx(
        float((without - ours).abs().max()), rel=0.3, abs=1e-6
    )
    classes = read_results(finished_run)["classes"]
    assert list(model.config.id2label.values()) == classes


def test_the_image_processor_normalizes_as_the_run(folder: Path) -> None:
    """Byte 51 is 0.2, which mean 0.5 and std 0.5 map to -0.6."""
    processor = VideoMAEImageProcessor.from_pretrained(folder)
    video = [torch.full((3, 224, 224), 51, dtype=torch.uint8).numpy()] * 16
    values = processor(video, return_tensors="pt")["pixel_values"]
    assert values.shape == (1, 16, 3, 224, 224)
    assert torch.allclose(values, torch.tensor(-0.6))


def test_the_folder_can_be_used_as_initial_weights(
    finished_run: Path, folder: Path
) -> None:
    loaded = load_weights(folder)
    assert loaded.encoder == "tiny-56"
    assert loaded.image_norm == "half"
    assert loaded.readout.norm_eps == 1e-6
    (ensemble,) = load_trained_run(
        finished_run, strategy="sfas", fold=2, device="cpu"
    ).ensembles
    for name, tensor in ensemble.encoder.state_dict().items():
        assert torch.equal(loaded.tensors[name], tensor), name


def test_the_card_has_the_scores_of_the_run(finished_run: Path, folder: Path) -> None:
    card = (folder / "README.md").read_text()
    results = read_results(finished_run)["strategies"]["sfas"]
    fold = next(f for f in results["folds"] if f["fold"] == 2)
    assert f"| {fold['war'] * 100:.1f} | {fold['uar'] * 100:.1f} |" in card
    assert f"| {results['pooled']['war'] * 100:.1f} [" in card
    assert ", ".join(fold["speakers"]) in card
    assert f"Trained on {fold['train_clips']} clips" in card
    assert "ravdess-contiguous-6" in card
    assert "random weights" in card
    assert str(finished_run.parent) not in card


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--strategy", "sfas"), "an export is one model. Choose one with --fold."),
        (("--strategy", "sfas", "--fold", "9"), "--fold 9: not in run"),
        (("--fold", "1"), "Choose one with --strategy."),
        (("--strategy", "cfas", "--fold", "1"), "--strategy cfas: not in run"),
    ],
)
def test_one_model_must_be_chosen(
    finished_run: Path, tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    done = export(finished_run, tmp_path / "out", *words)
    assert done.exit_code == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_kept(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    done = export(finished_run, tmp_path, "--strategy", "audio", "--fold", "1")
    assert done.exit_code == 1
    assert f"{tmp_path}: exists; expected a folder that does not exist" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    done = export(tmp_path, tmp_path / "out")
    assert done.exit_code == 1
    assert "no run in it" in done.stderr


def test_onnx_runtime_computes_the_same_logits(
    finished_run: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    done = invoke(
        *("export", str(finished_run), str(tmp_path / "onnx"), "--to", "onnx"),
        *("--strategy", "sfas", "--fold", "2"),
    )
    assert done.exit_code == 0, done.output
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    clips = probe_clips(3)
    (theirs,) = session.run(None, {"clips": clips.numpy()})
    ours = logits_of_run(finished_run, clips)
    assert (ours - torch.from_numpy(theirs)).abs().max() < 1e-4
    classes = json.loads((tmp_path / "onnx" / "classes.json").read_text())
    assert classes == read_results(finished_run)["classes"]
