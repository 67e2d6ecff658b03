"""Files and archive members: read in place, and never outside of the root."""

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmder_prep.media.source import MAX_MEMBER_BYTES, Source, locate
from mmder_store.errors import ManifestError, MediaError

CLIP = np.random.default_rng(0).bytes(5000) + bytes(20_000)
MEMBER = "Actor_01/a clip.mp4"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "Video.ZIP"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(MEMBER, CLIP)
        file.writestr("other.mp4", b"other")
    return path


def content(source: Source) -> bytes:
    opened = source.input()
    return Path(opened).read_bytes() if isinstance(opened, str) else opened.read()


def test_zip_member_is_read_without_unpacking(archive: Path, tmp_path: Path) -> None:
    source = locate(tmp_path, f"Video.ZIP/{MEMBER}")
    assert source == Source(archive, MEMBER)
    assert content(source) == CLIP
    assert list(tmp_path.rglob("*")) == [archive]


def test_file_is_opened_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").write_bytes(CLIP)
    source = locate(tmp_path, "a/x.mp4")
    assert source == Source(tmp_path / "a" / "x.mp4")
    assert source.input() == str(tmp_path / "a" / "x.mp4")


def test_folder_named_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip").mkdir()
    (tmp_path / "a.zip" / "x.mp4").write_bytes(b"x")
    assert content(locate(tmp_path, "a.zip/x.mp4")) == b"x"


def test_archive_itself_is_a_file(archive: Path, tmp_path: Path) -> None:
    assert locate(tmp_path, "Video.ZIP") == Source(archive)


@pytest.mark.parametrize(
    "path", ["../x.mp4", "a/../../x.mp4", "/etc/passwd", "..", "a/b/../../../root2/x"]
)
def test_path_out_of_the_root_is_rejected(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(ManifestError, match=r"leads out of .* --root"):
        locate(root, path)


def test_sibling_folder_with_the_same_prefix_is_outside(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="leads out of"):
        locate(tmp_path / "root", str(tmp_path / "root2" / "x.mp4"))


def test_absolute_path_inside_the_root_is_allowed(tmp_path: Path) -> None:
    inside = tmp_path / "b" / "x.mp4"
    assert locate(tmp_path, str(inside)) == Source(inside)
    assert locate(tmp_path, "a/../b/x.mp4") == Source(inside)


def test_relative_root_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate(Path(), "x.mp4") == Source(tmp_path / "x.mp4")


@pytest.mark.parametrize("member", [None, "x.mp4"])
def test_missing_file_is_a_media_error(tmp_path: Path, member: str | None) -> None:
    source = Source(tmp_path / "gone", member)
    with pytest.raises(MediaError, match=r"cannot be read .*No such file"):
        source.input()
    with pytest.raises(MediaError, match=r"cannot be read .*No such file"):
        source.sha256()


def test_missing_member_is_named(archive: Path) -> None:
    with pytest.raises(MediaError, match=r"cannot be read .*gone\.mp4"):
        Source(archive, "gone.mp4").input()


def test_folder_is_not_media(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot be read"):
        Source(tmp_path).input()


def test_file_that_is_not_an_archive_is_a_media_error(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(CLIP)
    with pytest.raises(MediaError, match=r"cannot be read .*not a zip"):
        locate(tmp_path, "a.zip/x.mp4").input()


@given(at=st.floats(0, 1, exclude_max=True), damage=st.binary(min_size=1, max_size=20))
@example(at=0.9783265858945914, damage=b"\x00\x00\x80")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_archive_is_a_media_error_or_the_same_bytes(
    archive: Path, at: float, damage: bytes
) -> None:
    whole = archive.read_bytes()
    offset = int(at * len(whole))
    changed = archive.with_name("damaged.zip")
    changed.write_bytes(whole[:offset] + damage + whole[offset + len(damage) :])
    try:
        data = content(Source(changed, MEMBER))
    except MediaError as error:
        message = str(error)
        # A size above the limit is rejected before reading.
        assert "cannot be read" in message or "in the archive, at most" in message
    else:
        assert len(data) <= MAX_MEMBER_BYTES
        assert CLIP.startswith(data)


@given(cut=st.floats(0, 1, exclude_max=True))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_archive_is_a_media_error(archive: Path, cut: float) -> None:
    whole = archive.read_bytes()
    changed = archive.with_name("cut.zip")
    changed.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(MediaError, match="cannot be read"):
        Source(changed, MEMBER).input()


def write_false_size(archive: Path, size: int) -> None:
    """Write a false size into both headers of the first member."""
    whole = bytearray(archive.read_bytes())
    struct.pack_into("<I", whole, whole.index(b"PK\x03\x04") + 22, size)
    struct.pack_into("<I", whole, whole.index(b"PK\x01\x02") + 24, size)
    archive.write_bytes(whole)


def test_member_above_the_size_limit_is_rejected_before_reading(archive: Path) -> None:
    write_false_size(archive, MAX_MEMBER_BYTES + 1)
    with pytest.raises(MediaError, match=f"at most {MAX_MEMBER_BYTES}"):
        Source(archive, MEMBER).input()


def test_no_more_than_the_size_in_the_header_is_read(archive: Path) -> None:
    """A zip bomb has a small size in its header and gigabytes of zeros after it."""
    write_false_size(archive, 100)
    try:
        assert len(content(Source(archive, MEMBER))) <= 100
    except MediaError as error:
        assert "CRC" in str(error)  # noqa: PT017  zipfile may notice it


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_hash_is_that_of_the_bytes_in_a_file_and_in_an_archive(
    tmp_path: Path, size: int
) -> None:
    clip = CLIP * (1 + size // len(CLIP))
    clip = clip[:size]
    (tmp_path / "x.mp4").write_bytes(clip)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("x.mp4", clip)
    expected = hashlib.sha256(clip).hexdigest()
    assert locate(tmp_path, "x.mp4").sha256() == expected
    assert locate(tmp_path, "a.zip/x.mp4").sha256() == expected


def test_hash_changes_with_the_file(tmp_path: Path) -> None:
    """This holds although hashes are cached."""
    path = tmp_path / "x.mp4"
    path.write_bytes(b"one")
    before = Source(path).sha256()
    path.write_bytes(b"three")
    assert Source(path).sha256() == hashlib.sha256(b"three").hexdigest() != before


def test_members_of_one_archive_have_different_hashes(archive: Path) -> None:
    assert Source(archive, MEMBER).sha256() != Source(archive, "other.mp4").sha256()
