"""The report page is self-contained, safe, reproducible, and complete."""

import base64
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zarr
from matplotlib import colors

from fake_store import make_store, seal_edits
from mmder_prep.quality.report import charts
from mmder_prep.quality.report.page import render, write_report
from mmder_store import Store
from mmder_store.errors import SettingsError, StoreError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture(scope="module")
def page(planted: Path) -> str:
    return render(Store(planted), worst=24, sampled=12)


class Reader(HTMLParser):
    """Parser that collects tags, attributes and text, and checks that tags close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def test_the_page_is_valid_and_self_contained(page: str, planted: Path) -> None:
    """Ids are unique, links stay inside, nothing is loaded, no folder is named."""
    found = Reader(page)
    assert len(set(found.all("id"))) == len(found.all("id"))
    assert set(found.all("href")) == {f"#{i}" for i in found.all("id")}
    assert all(src.startswith("data:image/") for src in found.all("src"))
    assert not found.all("srcset")
    assert found.tags["img"] == len(found.all("alt")) > 10
    assert all(found.all("alt"))
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|url\(|@import", page)
    assert str(planted.parent) not in page
    assert "someone" not in page
    for src in found.all("src"):
        kind, _, data = src.partition(";base64,")
        raw = base64.b64decode(data, validate=True)
        assert raw.startswith(b"<svg" if kind.endswith("svg+xml") else b"\xff\xd8")


def test_markup_in_a_clip_name_is_escaped(page: str, hostile_name: str) -> None:
    """A character that reverses the text direction is replaced."""
    assert "<script" not in page
    assert "\u202e" not in page
    shown = hostile_name.replace("\u202e", "\ufffd")
    assert shown in Reader(page).text


def test_the_worst_clips_come_first_with_their_problems(page: str) -> None:
    """The order is failed, no_audio, one clip per planted problem, ordinary."""
    text = Reader(page).text
    worst = text[text.index("Worst clips", 500) :]
    names = ["c0001", "c0002", "c0005", "c0006", "c0007", "c0008"]
    positions = [worst.index(name) for name in (*names, "drawn at random with seed")]
    assert positions[:2] == sorted(positions[:2])
    assert max(positions[:2]) < min(positions[2:6])
    assert max(positions) == positions[-1]
    for line in (
        "clamped 9 frames (> 4 frames; rank 1 of 11)",
        "silence 0.9 (> 0.3; rank 1 of 9)",
        "A/V offset 0.5 s (> ±0.1 s; rank 1 of 11)",
        "crop shift 0.2 sides (> 0.05 sides; rank 1 of 11)",
        "known to be cut short",
        "cannot read '…/a b.mp4'",
    ):
        assert line in text, line
    assert "6 of 6 clips that are ok and within all limits" in text
    assert "repeated" in worst


def test_clips_that_are_longer_than_their_frames_are_counted(
    planted: Path, tmp_path: Path
) -> None:
    """The clips last 3.0 to 4.1 s, and their frames cover 3.2 s."""
    path = shutil.copytree(planted, tmp_path / "store")
    group: Any = zarr.open_group(path, mode="r+", use_consolidated=False)
    group["step_s"][:] = 0.2
    seal_edits(path)
    text = Reader(render(Store(path), worst=2, sampled=2)).text
    assert (
        "9 of 11 clips are longer than the 3.2 s that their 16 frames cover (median of "
        "the unused end 0.50 s)" in text
    )
    assert "pass --step auto" in text


def test_equal_stores_yield_equal_bytes(planted: Path, tmp_path: Path) -> None:
    """The second page is written by another process with another hash seed."""
    first = write_report(Store(planted), tmp_path / "a.html").read_bytes()
    code = (
        "import sys; from pathlib import Path; from mmder_store import Store\n"
        "from mmder_prep.quality.report.page import write_report\n"
        "write_report(Store(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, planted, tmp_path / "b.html"],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert (tmp_path / "b.html").read_bytes() == first
    assert {p.name for p in tmp_path.iterdir()} == {"a.html", "b.html"}


@pytest.mark.parametrize(
    ("modality", "clips", "status"),
    [
        ("audio", 3, {1: "no_audio"}),
        ("av", 2, {0: "failed", 1: "failed"}),
        ("av", 1, {}),
        ("av", 2, {0: "no_video", 1: "no_face"}),
    ],
)
def test_small_and_partial_stores_have_a_page(
    tmp_path: Path, modality: Any, clips: int, status: dict[int, str]
) -> None:
    """The page shows only the video and audio that exist."""
    store = make_store(tmp_path / "s", clips=clips, modality=modality, status=status)
    out = write_report(store)
    assert out == tmp_path / "s-report.html"
    found = Reader(out.read_text())
    jpegs = sum("image/jpeg" in src for src in found.all("src"))
    empty = {"failed"} | ({"no_audio"} if modality == "audio" else set())
    assert jpegs == sum(status.get(i) not in empty for i in range(clips))
    assert ("shows faces" in found.text) == (modality == "av")
    alts = " ".join(a for a in found.all("alt") if "Histogram" not in a)
    assert ("eight faces" in alts) == (modality == "av" and jpegs > 0)


def test_an_invalid_output_path_or_status_raises(planted: Path, tmp_path: Path) -> None:
    """A failed report leaves no file behind."""
    store = Store(planted)
    with pytest.raises(SettingsError, match="inside the store"):
        write_report(store, planted / "report.html")
    with pytest.raises(SettingsError, match="is a folder"):
        write_report(store, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        write_report(store, tmp_path / "file" / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    make_store(tmp_path / "s", clips=1, modality="audio")
    group: Any = zarr.open_group(tmp_path / "s", mode="r+", use_consolidated=False)
    group["status"][0] = "fine"
    seal_edits(tmp_path / "s")
    with pytest.raises(StoreError, match="status 'fine', expected one of"):
        write_report(Store(tmp_path / "s"))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_a_browser_renders_the_page(page: str, tmp_path: Path) -> None:
    """Charts are drawn, no script runs, and nothing exceeds the page width."""
    (tmp_path / "page.html").write_text(page)
    width = 800
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},4000",
        f"--screenshot={tmp_path / 'shot.png'}",
        "--dump-dom",
        (tmp_path / "page.html").as_uri(),
    ]
    dumped = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60
    ).stdout
    shot = cv2.imread(str(tmp_path / "shot.png"))
    assert shot is not None
    rgb = shot[..., ::-1].astype(int)
    assert rgb.shape[1] == width

    def count_pixels(color: str) -> int:
        expected = np.array(colors.to_rgb(color)) * 255
        return int((np.abs(rgb - expected).max(axis=2) < 4).sum())

    assert count_pixels(charts.BLUE) > 2000
    assert count_pixels(charts.RED) > 100
    assert count_pixels("white") > rgb[..., 0].size / 3
    assert (rgb[:, -12:] == 255).all()  # the right margin is empty
    found = Reader(dumped)
    assert not found.tags["script"]
    assert "planted.zarr: mmder store report" in found.text
    assert found.tags["article"] == Reader(page).tags["article"] == 12
