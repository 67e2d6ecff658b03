"""The benchmarks of a GPU and of the paper's table: pure parts, and runs on a CPU."""

from pathlib import Path

import pytest
import torch

import data
import gpu
import probe_table
from fake_store import make_store
from gpu import IDLE, OTHER, Rate, breakdown, kind_of


def test_without_a_gpu_the_benchmark_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.main([])
    text = str(ended.value.code)
    assert text.startswith("benchmarks/gpu.py: torch finds no GPU.")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_tst_256x128_64x4_2x1_v_bz_coopA_NNT", "matrix products"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32", "matrix products"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop", "attention"),
        ("pytorch_flash::flash_fwd_kernel", "attention"),
        ("fmha_cutlassF_bf16_aligned_64x64", "attention"),
        ("aten::addmm", "matrix products"),
        ("Memcpy HtoD (Pinned -> Device)", "copies"),
        ("multi_tensor_apply_kernel<FusedAdam>", "optimizer"),
        ("vectorized_layer_norm_kernel", OTHER),
        ("aten::gelu", OTHER),
    ],
)
def test_kernels_are_sorted_by_their_names(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_the_parts_of_a_time_add_up_to_all_of_it() -> None:
    events = [("gemm", 0.3), ("flash_fwd", 0.2), ("gelu", 0.1)]
    parts = breakdown(events, elapsed_s=1.0)
    assert parts["matrix products"] == pytest.approx(0.3)
    assert parts["attention"] == pytest.approx(0.2)
    assert parts[OTHER] == pytest.approx(0.1)
    assert parts[IDLE] == pytest.approx(0.4)
    assert sum(parts.values()) == pytest.approx(1)
    overlapping = breakdown(events, elapsed_s=0.3)
    assert overlapping[IDLE] == pytest.approx(0, abs=1e-9)
    assert sum(overlapping.values()) == pytest.approx(1)


def test_a_share_is_the_rate_of_products_by_the_peak() -> None:
    rate = Rate(clips_per_s=330, flops_per_clip=1.194e12)
    assert rate.share(989e12) == pytest.approx(0.398, abs=1e-3)


def test_the_products_of_a_clip_are_counted() -> None:
    """ViT-L takes 597 billion multiplications per clip, two operations each.

    A backward pass takes about twice the products of its forward pass.
    """
    forward, training = gpu.count_flops("large")
    assert forward == pytest.approx(1.194e12, rel=1e-3)
    assert 2.9 < training / forward < 3.1


def test_predictions_that_differ_are_counted(tmp_path: Path) -> None:
    for name, predicted in (("a", "happy"), ("b", "sad")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "predictions-cfas.csv").write_text(
            f"clip_id,predicted\nx,angry\ny,{predicted}\n"
        )
    assert probe_table.different_predictions(tmp_path / "a", tmp_path / "b") == (1, 2)


@pytest.fixture
def small_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a store from which the benchmarks make theirs."""
    make_store(tmp_path / "source", clips=32)
    monkeypatch.setenv("MMDER_BENCH_STORE", str(tmp_path / "source"))
    monkeypatch.setattr(data, "DATA", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_table_is_the_same_with_heads_one_after_the_other(
    small_store: Path,
) -> None:
    found = {f.name: f for f in probe_table.measure(48, "tiny-56", "cpu")}
    total = sum(found[name].value for name in ("encoding", "heads together", "rest"))
    assert found["table"].value == pytest.approx(total)
    assert found["predictions of 384 that differ"].value == 0
    assert found["scores of the tables that differ"].value == 0


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_runs_on_a_cpu(
    small_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu.main(["--device", "cpu", "--encoder", "tiny-56", "--clips", "48"])
    shown = capsys.readouterr().out
    for name in (
        "matrix products of the card",
        "frozen, 8 clips per batch: of the card's products",
        "finetune: time in optimizer",
        "table: encoding",
    ):
        assert name in shown
