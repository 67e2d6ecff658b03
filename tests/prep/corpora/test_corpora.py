"""All corpora: empty folders, mixed folders, duplicates, and the table of corpora."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fake_corpora import dialog, lay
from mmder_prep.corpora import CORPORA, Corpus
from mmder_prep.corpora.listing import scan
from mmder_prep.corpora.manifest import Manifest
from mmder_store.errors import ManifestError


def has_warning(manifest: Manifest, text: str) -> bool:
    return any(text in warning for warning in manifest.warnings)


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_a_folder_without_the_corpus_raises_one_clear_line(
    corpus: Corpus, tmp_path: Path
) -> None:
    """The line has the expected files, the folder, its contents, and the way out."""
    way_out = rf"pass the folder with --root or {corpus.root_variable}$"
    other = lay(tmp_path / "other", "a/b/clip.mp4", "a/readme.txt")
    lay(tmp_path, "file.mp4")
    (tmp_path / "empty").mkdir()
    for folder, state in (
        ("none", "the folder does not exist"),
        ("file.mp4", "not a folder"),
        ("empty", "the folder has 0 media files"),
        ("other", r"the folder has 1 media files, the first a/b/clip\.mp4"),
    ):
        match = f"{corpus.name}: no .*{state}"
        with pytest.raises(ManifestError, match=match) as raised:
            corpus.find(tmp_path / folder, modality="av")
        assert raised.match(way_out)
        assert "\n" not in str(raised.value)
    assert other.is_dir()


ONE_CLIP_OF_EACH: dict[str, Callable[[Path], Path]] = {
    "ravdess": lambda root: lay(root, "Actor_01/01-01-03-01-01-01-01.mp4"),
    "cremad": lambda root: lay(
        root, "VideoFlash/1001_DFA_ANG_XX.flv", "AudioWAV/1001_DFA_ANG_XX.wav"
    ),
    "iemocap": lambda root: dialog(
        root, "Ses01F_impro01", (6.2901, 8.2357, "Ses01F_impro01_F000", "neu")
    ),
    "mead": lambda root: lay(root, "M003/video/front/angry/level_1/001.mp4"),
    "savee": lambda root: lay(root, "AudioVisualClip/DC/sa15.avi"),
    "msp-improv": lambda root: lay(
        lay(root, "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi"),
        "Evalution.txt",
        text="UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.1; V:2.9; D:2.8 ; N:3.2;",
    ),
    "dfew": lambda root: lay(
        lay(root, "Clip/original/part_1/12.mp4"),
        "EmoLabel_DataSplit/test(single-labeled)/set_1.csv",
        text="video_name,label\n12,3\n",
    ),
    "mafw": lambda root: lay(
        lay(root, "data/clips/00025.mp4"),
        "Train & Test Set/single/no_caption/set_1/test.txt",
        text="00025.mp4 anger\n",
    ),
    "enterface": lambda root: lay(root, "subject 1/anger/sentence 1/s1_an_1.avi"),
}


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_only_one_corpus_of_a_mixed_folder_is_found_and_the_rest_is_reported(
    corpus: Corpus, tmp_path: Path
) -> None:
    for name, make in ONE_CLIP_OF_EACH.items():
        make(tmp_path / name)
    found = corpus.find(tmp_path, modality="av")
    assert len(found.rows) == 1
    media = [p for p in scan(tmp_path).paths if Path(p).suffix not in (".txt", ".csv")]
    others = [p for p in media if not p.startswith(corpus.name)]
    if corpus.name == "dfew":
        # Its clips are numbers; those of other corpora could be clips without a label.
        numbers = {p for p in others if Path(p).stem.isdecimal()}
        others = [p for p in others if p not in numbers]
        assert has_warning(found, f"{len(numbers)} clips are in no list")
    assert list(found.unexpected_files) == others
    assert has_warning(found, f"{len(others)} media files are not clips of")


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda c: c.name)
def test_a_second_copy_of_a_clip_is_skipped_and_reported(
    corpus: Corpus, tmp_path: Path
) -> None:
    """Hidden ``._`` files of macOS and hidden folders are skipped silently."""
    make = ONE_CLIP_OF_EACH[corpus.name]
    make(tmp_path / "first")
    one = corpus.find(tmp_path, modality="av")
    make(tmp_path / ".hidden")
    for path in scan(tmp_path).paths:
        visible = tmp_path / path
        visible.with_name("._" + visible.name).write_bytes(b"\0\5\x16\7")
    assert corpus.find(tmp_path, modality="av") == one
    make(tmp_path / "second")
    two = corpus.find(tmp_path, modality="av")
    assert two.rows == one.rows
    assert has_warning(two, "already found and are skipped, the first second/")


def test_every_corpus_has_a_name_a_root_and_a_variable() -> None:
    """The corpus commands are made from this table."""
    assert len({c.name for c in CORPORA}) == len(CORPORA)
    for corpus in CORPORA:
        assert corpus.root_variable.startswith("MMDER_")
        assert not corpus.root.is_absolute()
