"""The report on a store: measures against planted truth, the page as read."""

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
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colors

from fake_store import make_store
from mmder_prep.quality.report import charts, contact_sheets, counts, measures, text
from mmder_prep.quality.report.measures import MEASURES
from mmder_prep.quality.report.page import measured, render, write_report
from mmder_store import Store
from mmder_store.errors import SettingsError, StoreError

HOSTILE = "<script>document.title='x'</script>\u202e\"'&"
BY_NAME = {m.name: m for m in MEASURES}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = {"meta", "img", "br", "link", "input", "hr"}


def plant(path: Path, **columns: Any) -> Store:
    """Overwrite columns or arrays of a sealed store, as `name={row: value}`."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    for name, rows in columns.items():
        for row, value in rows.items():
            group[name][row] = value
    return Store(path)


def boxes(lefts: Any, side: Any = 100.0) -> Any:
    lefts = np.broadcast_to(np.asarray(lefts, float), 16)
    side = np.broadcast_to(np.asarray(side, float), 16)
    return np.stack([lefts, 0 * lefts, lefts + side, side], axis=1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips: most ordinary, some with one thing wrong."""
    path = tmp_path_factory.mktemp("report") / "planted.zarr"
    make_store(
        path, clips=12, planted="picture sound", status={1: "failed", 2: "no_audio"}
    )
    rows = range(12)
    return plant(
        path,
        clip_id={4: HOSTILE},
        reason={1: "cannot read '/home/someone/corpus/a b.mp4'", 2: "no sound"},
        note={3: "known to be cut short"},
        face_box_px={r: boxes(50 + 20 * np.arange(16) * (r == 5)) for r in rows},
        face_score={r: np.full(16, 0.99) for r in rows},
        frame_time_s={r: 0.2 * np.arange(16) for r in rows},
        faces_searched={r: 9 for r in rows if r != 1},
        faces_found={r: 9 for r in rows if r != 1},
        clamped={r: 9 if r == 6 else 0 for r in rows if r != 1},
        silence={r: 0.9 if r == 7 else 0.1 for r in rows if r > 2},
        sound_rms_db={r: -20.0 - r for r in rows if r > 2},
        decode_errors=dict.fromkeys(rows, 0),
        start_s=dict.fromkeys(rows, 0.0),
        stop_s={r: 3.0 + r / 10 for r in rows},
        picture_start_s={r: 0.5 if r == 8 else 0.0 for r in rows},
        sound_start_s=dict.fromkeys(rows, 0.0),
    ).path


@pytest.fixture(scope="module")
def page(planted: Path) -> str:
    return render(Store(planted), worst=24, sampled=12)


# ---- measures ----


@given(shift=st.floats(0, 0.5), size_px=st.floats(20, 500), at_px=st.floats(-100, 1000))
def test_a_crop_that_moves_steadily_has_the_shift_planted(
    shift: float, size_px: float, at_px: float
) -> None:
    """In sides of the crop, wherever it is and however large."""
    lefts = at_px + shift * size_px * np.arange(16)
    found = measures.crop_measures(boxes(lefts, size_px), np.full(16, 0.9))
    assert found["crop shift"] == pytest.approx(shift, abs=1e-9)
    assert found["crop jump"] == pytest.approx(shift, abs=1e-9)
    assert found["crop zoom"] == pytest.approx(0, abs=1e-9)
    assert found["face score"] == 0.9


def test_one_jump_is_a_jump_and_no_jitter() -> None:
    """The median passes over it, the largest does not; growth is zoom."""
    found = measures.crop_measures(
        boxes(40.0 * (np.arange(16) > 7)), np.full(16, np.nan)
    )
    assert found["crop shift"] == 0
    assert found["crop jump"] == pytest.approx(0.4)
    assert np.isnan(found["face score"])
    grown = 100 * 1.1 ** np.arange(16)
    zoom = measures.crop_measures(boxes(-grown / 2, grown), np.ones(16))["crop zoom"]
    assert zoom == pytest.approx(0.1 / 1.05)
    assert np.isnan(
        list(measures.crop_measures(np.zeros((16, 4)), np.ones(16)).values())
    ).all()


def test_columns_are_measured_where_known(planted: Path) -> None:
    """-1 is unknown, failed clips are left out, the offset has its sign."""
    found = measured(Store(planted))
    assert found["duration"][[0, 11]] == pytest.approx([3.0, 4.1])
    assert np.isnan([values[1] for values in found.values()]).all()
    assert np.isnan(found["silence"][2])
    assert found["A/V offset"][8] == 0.5
    assert found["face share"][0] == 1
    odd = {
        name: set(np.flatnonzero(measures.beyond(BY_NAME[name], v)))
        for name, v in found.items()
    }
    assert {name: rows for name, rows in odd.items() if rows} == {
        "clamped": {6},
        "A/V offset": {8},
        "crop shift": {5},
        "silence": {7},
    }


@given(st.lists(st.floats(-2, 2) | st.just(np.nan), min_size=1, max_size=30))
def test_badness_is_the_share_that_is_better(drawn: list[float]) -> None:
    """Counted one by one; nothing within the limit is bad."""
    measure, values = BY_NAME["A/V offset"], np.array(drawn)
    known = [abs(v) for v in drawn if not np.isnan(v)]
    for bad, value in zip(measures.badness(measure, values), drawn, strict=True):
        better = sum(k < abs(value) for k in known)
        odd = abs(value) > measure.limit
        assert bad == (pytest.approx(better / len(known)) if odd else 0)


@given(
    status=st.lists(st.sampled_from(["ok", "ok", "no_face", "failed"]), min_size=1),
    count=st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_worst_and_ordinary(status: list[str], count: int, seed: int) -> None:
    """Not ok first, at most half while others wait; ordinary clips are none of them."""
    what = np.array(status, dtype=object)
    silence = np.random.default_rng(seed).uniform(0, 1, len(status))
    worst = measures.worst_first(what, {"silence": silence}, count=count)
    broken = {i for i, s in enumerate(status) if s != "ok"}
    odd = {i for i, s in enumerate(status) if s == "ok" and silence[i] > 0.5}
    assert len(set(worst)) == len(worst) == min(count, len(broken | odd))
    first = [i for i in worst if i in broken]
    assert worst[: len(first)] == first
    assert len(first) <= max(count - len(odd), count - count // 2)
    assert [status[i] for i in first] == sorted(status[i] for i in first)
    rest = silence[worst[len(first) :]]
    assert (np.diff(rest) <= 0).all()
    usual = measures.ordinary_clips(what, {"silence": silence}, count=count, seed=seed)
    assert len(usual) == min(count, len(status) - len(broken | odd))
    assert not set(usual) & (broken | odd)


# ---- pictures ----


@given(step=st.integers(1, 30).map(lambda n: 2 * n))
def test_the_strip_is_time_itself(step: int) -> None:
    """Where every window holds the time of its columns, they join without a seam."""
    columns = np.arange(2 * step + 1)
    windows = (columns + step * np.arange(16)[:, None])[:, None, :].astype(np.float16)
    strip = contact_sheets.continuous(windows)
    assert (strip[0] == np.arange(16 * step)).all()


def test_a_face_stands_above_its_own_sound() -> None:
    """A click at one instant, and the picture shown at it, are in one column."""
    frames = np.zeros((16, 224, 224, 3), dtype=np.uint8)
    frames[6] = (255, 0, 0)
    stft = np.full((16, 257, 41), -80, dtype=np.float16)
    for window in range(16):  # windows that hold the instant of frame 6
        place = 20 + 20 * (6 - window)
        if 0 <= place < 41:
            stft[window, :, place] = 20
    jpeg = contact_sheets.contact_sheet(frames, stft, None)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    rgb = decoded[..., ::-1]
    faces, sound = rgb[: contact_sheets.FACE_PX], rgb[-contact_sheets.STFT_PX :]
    red = faces[48, :, 0].astype(int) - faces[48, :, 1]
    middle = np.flatnonzero(red > 128).mean()
    loud = sound[:, :, 1].mean(axis=0)
    assert middle == pytest.approx(3.5 * contact_sheets.FACE_PX, abs=2)
    assert loud.argmax() == pytest.approx(middle, abs=4)
    with pytest.raises(ValueError, match="neither"):
        contact_sheets.contact_sheet(None, None, None)


def test_a_chart_names_no_address_and_is_equal_for_equal_numbers() -> None:
    """And draws the clips beyond the limit in red, infinite ones not at all."""
    values = np.array([0.0, 0.1, 0.9, np.nan, np.inf])
    svg = charts.histogram(BY_NAME["silence"], values)
    assert svg == charts.histogram(BY_NAME["silence"], values)
    assert "DTD" not in svg
    assert "href" not in re.sub(r'href="#', "", svg)
    assert charts.RED in svg
    assert charts.RED not in charts.histogram(BY_NAME["silence"], values[:2])


# ---- counts and texts ----


def test_texts_are_made_fit() -> None:
    """No folder, no hidden sign, no endless line, no surrogate."""
    assert text.without_paths("cannot read '/home/me/a b/x.mp4'") == (
        "cannot read '…/x.mp4'"
    )
    assert text.without_paths(r"no C:\Users\me\x.mp4: gone") == "no …/x.mp4: gone"
    assert text.without_paths("24 frames/s, A/V") == "24 frames/s, A/V"
    assert text.plain("a\u202eb\ud800\nc") == "a\ufffdb\ufffd\ufffdc"
    assert len(text.plain("x" * 10_000)) == text.TEXT_CHARACTERS


def test_groups_join_texts_that_differ_in_numbers() -> None:
    """The worst status first, then the largest group; the rest is counted."""
    ids = np.array(list("abcdef"), dtype=object)
    status = np.array(["ok", "ok", "failed", "ok", "no_face", "ok"], dtype=object)
    said = np.array(["", "ends at 1.5 s", "x", "ends at 20 s", "", "y"], dtype=object)
    groups, hidden = counts.group_reasons(ids, status, said, most=3)
    assert [(g.status, g.text, g.clips) for g in groups] == [
        ("failed", "x", 1),
        ("no_face", "", 1),
        ("ok", "ends at N s", 2),
    ]
    assert groups[2].examples == ("b", "d")
    assert hidden == 1


def test_crossing_counts_every_clip_once(planted: Path) -> None:
    """Totals are over all speakers, also those cut off; 2 comes before 10."""
    who = np.array(["s10", "s2", "s2", "s1"], dtype=object)
    felt = np.array(["sad", "sad", "", "angry"], dtype=object)
    found = counts.cross_table(who, felt, rows=2, columns=3)
    assert found.rows == (("s1", (0, 1, 0)), ("s2", (1, 0, 1)))
    assert found.emotions == ("(none)", "angry", "sad")
    assert found.totals == (1, 1, 2)
    assert (found.hidden_speakers, found.hidden_emotions) == (1, 0)
    store = Store(planted)
    (protocol,) = store.spec.protocols
    folds = counts.folds(protocol, store.columns["speaker"])
    assert sum(f.clips for f in folds) == len(store)


# ---- the page ----


class Reader(HTMLParser):
    """What a browser would meet: tags that close, ids, links, images, texts."""

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
        return [value for _, found, value in self.attributes if found == name]


def test_the_page_is_whole_and_alone(page: str, planted: Path) -> None:
    """It parses, ids are unique, links lead inside, nothing is fetched or named."""
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


def test_hostile_texts_stay_texts(page: str) -> None:
    """Markup of a clip's name is shown, not obeyed; signs that turn text are not."""
    assert "<script" not in page
    assert "\u202e" not in page
    shown = HOSTILE.replace("\u202e", "\ufffd")
    assert shown in Reader(page).text


def test_what_is_wrong_comes_first_and_says_why(page: str) -> None:
    """Failed, then no_audio, then one clip for each thing planted; then ordinary."""
    text = Reader(page).text
    worst = text[text.index("Worst clips", 500) :]
    order = ["c0001", "c0002", "c0005", "c0006", "c0007", "c0008", "drawn with seed"]
    places = [worst.index(name) for name in order]
    assert places[:2] == sorted(places[:2])
    assert max(places[:2]) < min(places[2:6])
    assert max(places) == places[-1]
    for said in (
        "clamped 9 frames (> 4 frames; no. 1 of 11)",
        "silence 0.9 (> 0.5; no. 1 of 9)",
        "A/V offset 0.5 s (> ±0.1 s; no. 1 of 11)",
        "crop shift 0.2 sides (> 0.05 sides; no. 1 of 11)",
        "known to be cut short",
        "cannot read '…/a b.mp4'",
    ):
        assert said in text, said
    assert "6 of 6 clips that are ok and beyond no limit" in text
    assert "repeated" in worst


def test_equal_stores_give_equal_bytes(planted: Path, tmp_path: Path) -> None:
    """In another process, with another seed of its hashes."""
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
def test_stores_of_little(
    tmp_path: Path, modality: Any, clips: int, status: dict[int, str]
) -> None:
    """Sound alone, all failed, one clip, no picture: a page, and no false promise."""
    made = make_store(tmp_path / "s", clips=clips, modality=modality, status=status)
    out = write_report(made)
    assert out == tmp_path / "s-report.html"
    found = Reader(out.read_text())
    jpegs = sum("image/jpeg" in src for src in found.all("src"))
    empty = {"failed"} | ({"no_audio"} if modality == "audio" else set())
    assert jpegs == sum(status.get(i) not in empty for i in range(clips))
    assert ("shows faces" in found.text) == (modality == "av")
    alts = " ".join(a for a in found.all("alt") if "Histogram" not in a)
    assert ("eight faces" in alts) == (modality == "av" and jpegs > 0)


def test_out_is_never_in_the_store(planted: Path, tmp_path: Path) -> None:
    """Nor a folder, nor half there; a store of unknown status is refused."""
    store = Store(planted)
    with pytest.raises(SettingsError, match="inside the store"):
        write_report(store, planted / "report.html")
    with pytest.raises(SettingsError, match="a folder"):
        write_report(store, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        write_report(store, tmp_path / "file" / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    make_store(tmp_path / "s", clips=1, modality="audio")
    with pytest.raises(StoreError, match="status 'fine', expected one of"):
        write_report(plant(tmp_path / "s", status={0: "fine"}))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_a_browser_shows_it(page: str, tmp_path: Path) -> None:
    """Charts and faces are painted, the hostile name ran nothing, text stays inside."""
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

    def painted(colour: str) -> int:
        want = np.array(colors.to_rgb(colour)) * 255
        return int((np.abs(rgb - want).max(axis=2) < 4).sum())

    assert painted(charts.BLUE) > 2000
    assert painted(charts.RED) > 100
    assert painted("white") > rgb[..., 0].size / 3
    assert (rgb[:, -12:] == 255).all()  # the margin: nothing is wider than the page
    found = Reader(dumped)
    assert not found.tags["script"]
    assert "planted.zarr: report on a store" in found.text
    assert found.tags["article"] == Reader(page).tags["article"] == 12
