"""A copy of a corpus is whole, or what is missing, strange or broken in it is named."""

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fake_corpora import dialog, lay
from mmder_prep.corpora import CORPORA, Corpus, cremad, iemocap, mead, ravdess
from mmder_prep.corpora.check import CheckResult, check_corpus, show
from mmder_prep.corpora.manifest import read_manifest
from mmder_prep.corpora.published import ExpectedContents, counted, listed, write
from mmder_store.errors import ManifestError
from mmder_store.protocols import PROTOCOLS

MANIFESTS = Path(__file__).parents[2] / "data_manifests"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 130\n"


def printed(checked: CheckResult) -> str:
    out = io.StringIO()
    show(checked, Console(file=out, width=200))
    return out.getvalue()


def check_ravdess(root: Path) -> CheckResult:
    found = ravdess.find(root, modality="av")
    return check_corpus(found, ravdess.published(modality="av"))


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out all of RAVDESS' speech, with the mute copies."""
    root = tmp_path_factory.mktemp("ravdess")
    for row in ravdess.published(modality="av").rows:
        lay(root, row.path, row.path.replace("/01-", "/02-"))
    return root


def test_a_whole_copy_is_whole(takes: Path) -> None:
    checked = check_ravdess(takes)
    assert checked.whole
    assert checked.clips == 1440
    assert (checked.missing, checked.unexpected, checked.flawed) == ((), (), ())
    text = printed(checked)
    assert "1440 clips, as published" in text
    assert "speakers as published 24 of 24" in text
    assert "no file was decoded" in text


@pytest.mark.parametrize(
    ("spoil", "what", "named"),
    [
        (lambda f: f.unlink(), "missing", "01-01-05-01-01-01-12"),
        (lambda f: f.write_text(""), "flawed", "01-01-05-01-01-01-12: empty"),
        (
            lambda f: f.write_text(POINTER),
            "flawed",
            "01-01-05-01-01-01-12: a git-lfs pointer",
        ),
        (
            lambda f: lay(f.parent, "01-01-01-02-01-01-12.mp4"),
            "unexpected",
            "01-01-01-02-01-01-12",
        ),
        (lambda f: lay(f.parent, "clip.avi"), "unexpected", "Actor_12/clip.avi"),
    ],
)
def test_what_is_wrong_with_one_clip_is_named(
    takes: Path, spoil: Callable[[Path], object], what: str, named: str
) -> None:
    """It is not there, it is empty, a pointer, a take that never was, another file."""
    file = takes / "Actor_12" / "01-01-05-01-01-01-12.mp4"
    try:
        spoil(file)
        checked = check_ravdess(takes)
        assert not checked.whole
        assert getattr(checked, what) == (named,)
        text = printed(checked)
        assert f"{what} 1: {named}" in text
        assert "not as published" in text
    finally:
        lay(file.parent, file.name)
        for stranger in ("01-01-01-02-01-01-12.mp4", "clip.avi"):
            (file.parent / stranger).unlink(missing_ok=True)


def test_a_class_and_a_speaker_that_fall_short_are_shown(takes: Path) -> None:
    """The row of the class says so, and the row of the actor."""
    file = takes / "Actor_12" / "01-01-05-01-01-01-12.mp4"
    file.unlink()
    text = printed(check_ravdess(takes))
    lay(file.parent, file.name)
    rows = [line for line in text.splitlines() if "differs" in line]
    assert len(rows) == 2
    assert any("emotion angry" in r and "191" in r and "192" in r for r in rows)
    assert any("speaker 12" in r and "59" in r and "60" in r for r in rows)
    assert "speakers as published 23 of 24" in text


def test_a_file_behind_a_dead_link_is_said(takes: Path) -> None:
    """So git-annex leaves what it has not fetched."""
    file = takes / "Actor_12" / "01-01-05-01-01-01-12.mp4"
    file.unlink()
    file.symlink_to(takes / "annex")
    checked = check_ravdess(takes)
    file.unlink()
    lay(file.parent, file.name)
    assert checked.missing == ()
    assert checked.flawed == (
        "01-01-05-01-01-01-12: cannot be read (No such file or directory)",
    )


def test_of_cremad_every_clip_has_its_wav_file(tmp_path: Path) -> None:
    """The known bad clips are missed where they were asked for, and only there."""

    def known(*, include_known_bad: bool = False) -> ExpectedContents:
        every = cremad.published(modality="av", include_known_bad=include_known_bad)
        some = [row for row in every.rows if row.speaker in ("1001", "1002", "1076")]
        return listed(some, source=every.source)

    rows = known().rows
    for row in rows:
        lay(tmp_path, row.path, row.sound)
    assert check_corpus(cremad.find(tmp_path, modality="av"), known()).whole
    every = cremad.find(tmp_path, modality="av", include_known_bad=True)
    missed = check_corpus(every, known(include_known_bad=True)).missing
    assert missed == ("1076_MTI_NEU_XX", "1076_MTI_SAD_XX")
    lay(tmp_path, rows[0].sound, text="")
    lay(tmp_path, rows[1].sound, text=POINTER)
    (tmp_path / rows[2].sound).unlink()
    lay(tmp_path, *(f"x/1002_TIE_NEU_XX.{suffix}" for suffix in ("flv", "wav")))
    spoiled = check_corpus(cremad.find(tmp_path, modality="av"), known())
    assert sorted(spoiled.flawed) == [
        f"{rows[0].clip_id}: sound empty",
        f"{rows[1].clip_id}: sound a git-lfs pointer",
        f"{rows[2].clip_id}: no sound file",
    ]
    assert spoiled.unexpected == ("1002_TIE_NEU_XX",)


def test_of_iemocap_counts_and_sound_files_are_compared(tmp_path: Path) -> None:
    turn = "Ses01F_impro01_F000"
    dialog(tmp_path, "Ses01F_impro01", (1.0, 2.0, turn, "neu"), wavs=False)
    found = iemocap.find(tmp_path, modality="av")
    checked = check_corpus(found, iemocap.published(modality="av"))
    assert checked.flawed == (f"{turn}: no sound file",)
    assert not checked.whole
    text = printed(checked)
    assert "speakers not there 9: Ses01M" in text
    heard = iemocap.find(lay(tmp_path, f"wav/{turn}.wav"), modality="audio")
    known = iemocap.published(modality="audio")
    assert check_corpus(heard, known).flawed == ()
    exact = replace(known, counts=counted(heard.rows))
    assert check_corpus(heard, exact).whole


def test_of_mead_a_camera_may_have_fewer_clips_and_none_of_one_actor(
    tmp_path: Path,
) -> None:
    """Counts are bounds there; an actor or an emotion that is missing is not."""
    known = mead.published(modality="av")
    for actor in known.counts["speaker"]:
        for emotion in mead.EMOTIONS:
            lay(tmp_path, f"{actor}/video/front/{emotion}/level_1/001.mp4")
    assert "W017" not in known.counts["speaker"]
    assert "W017" in mead.published(modality="av", view="down").counts["speaker"]
    assert check_corpus(mead.find(tmp_path, modality="av"), known).whole
    lay(tmp_path, "W017/video/front/sad/level_1/001.mp4")
    assert check_corpus(mead.find(tmp_path, modality="av"), known).whole
    for file in (tmp_path / "M003").rglob("*.mp4"):
        file.unlink()
    less = check_corpus(mead.find(tmp_path, modality="av"), known)
    assert [c.value for c in less.counts if not c.good] == ["M003"]
    assert "speakers not there 1: M003" in printed(less)
    few = replace(known, counts={"emotion": {"angry": 3}, "speaker": {}})
    more = check_corpus(mead.find(tmp_path, modality="av"), few)
    assert [c.value for c in more.counts if not c.good] == ["angry"]


def test_long_lists_are_cut_short(takes: Path) -> None:
    known = ravdess.published(modality="av")
    few = replace(known, rows=known.rows[:1], counts={"emotion": {}, "speaker": {}})
    checked = check_corpus(ravdess.find(takes, modality="av"), few)
    assert len(checked.unexpected) == 1439
    assert "and 1429 more" in printed(checked)


def test_the_exit_code_tells(takes: Path) -> None:
    """0 for a whole copy, 1 for one that is not, or is not there; no store is made."""
    call = "from mmder_prep.cli import main; main()"
    codes = {}
    for name, root in (("whole", takes), ("part", takes / "Actor_01")):
        done = subprocess.run(
            [sys.executable, "-c", call, "ravdess", "--check", "--root", root],
            capture_output=True,
            text=True,
            check=False,
        )
        codes[name] = done.returncode
        assert done.stderr == ""
    assert codes == {"whole": 0, "part": 1}
    with pytest.raises(ManifestError, match="there is no such folder"):
        check_ravdess(takes / "none")


# What is packaged of it.


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_the_packaged_list_is_what_the_program_prints(
    corpus: Corpus, tmp_path: Path
) -> None:
    """`make manifests` writes them anew."""
    name = f"{corpus.name}.csv"
    with (tmp_path / name).open("w", encoding="utf-8", newline="") as out:
        write(corpus.published(modality="av"), out)
    same = (tmp_path / name).read_bytes() == (MANIFESTS / name).read_bytes()
    assert same, f"data_manifests/{name} is not what the code says; see make manifests"


@pytest.mark.parametrize("corpus", CORPORA[:2], ids=lambda c: c.name)
def test_a_packaged_list_reads_as_a_manifest(corpus: Corpus) -> None:
    """The same clips, and the folds of the literature as the manifest's own."""
    known = corpus.published(modality="av")
    made = read_manifest(MANIFESTS / f"{corpus.name}.csv", root=None)
    assert made.rows == known.rows
    wanted = {row.speaker: row.fold for row in known.rows}
    assert made.protocols[0].fold_of == wanted


@pytest.mark.parametrize("name", ["iemocap", "mead"])
def test_of_licensed_corpora_only_counts_are_packaged(name: str) -> None:
    with (MANIFESTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert table[0].keys() == {"column", "value", "clips"}
    assert {line["column"] for line in table} == {"emotion", "speaker"}


@pytest.mark.parametrize("fold", range(1, 6))
def test_the_folds_of_mead_stand_in_the_readme(fold: int) -> None:
    """They are this project's own, so whoever compares with them must find them."""
    fold_of = PROTOCOLS["mead-speakers-5"].fold_of
    tested = sorted(speaker for speaker, k in fold_of.items() if k == fold)
    text = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    assert f"| {fold} | {' '.join(tested)} |" in text
