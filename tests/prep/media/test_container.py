"""Files that are not media, playlists, cover art, unknown codecs."""

import socket
import struct
from pathlib import Path

import numpy as np
import pytest

from media_clips import decode, png
from mmder_store.errors import MediaError

pytestmark = pytest.mark.timeout(60)

NOT_MEDIA = {
    "empty": (b"", "the file is empty"),
    "text": (b"this is a text, and no media at all\n" * 50, "not readable as media"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "git-lfs pointer.*git lfs pull",
    ),
    "noise": (np.random.default_rng(1).bytes(50_000), "not readable as media|neither"),
    "zeros": (bytes(50_000), "not readable as media|neither|nothing in it"),
    "png": (png(), "not readable as media"),
    "html": (b"<!DOCTYPE html><html>404</html>", "not readable as media"),
}


@pytest.mark.parametrize("suffix", ["mp4", "flv", "wav", "mpg"])
@pytest.mark.parametrize("kind", list(NOT_MEDIA))
def test_file_that_is_not_media_is_a_one_line_error(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    content, match = NOT_MEDIA[kind]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=match) as caught:
        decode(path)
    assert "\n" not in str(caught.value)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{url}</BaseURL>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1"/></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n",
}


@pytest.mark.parametrize("target", ["file", "host"])
@pytest.mark.parametrize("kind", list(PLAYLISTS))
def test_playlist_opens_neither_files_nor_hosts(
    short_clips: dict[str, Path], tmp_path: Path, kind: str, target: str
) -> None:
    """The playlist refers to a readable clip, or to a host that records connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}/x.ts"
        if target == "file":
            url = str(short_clips["mpg"])
        path = tmp_path / "x.mp4"
        path.write_text(PLAYLISTS[kind].format(url=url, port=port))
        with pytest.raises(MediaError, match="not readable as media"):
            decode(path)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_cover_art_is_not_video(long_clips: dict[str, Path], tmp_path: Path) -> None:
    art = b"\0image/png\0\3\0" + png()
    frame = b"APIC" + struct.pack(">I", len(art)) + b"\0\0" + art
    size = bytes(len(frame) >> s & 127 for s in (21, 14, 7, 0))
    path = tmp_path / "x.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + frame + long_clips["mp3"].read_bytes())
    decoded = decode(path)
    assert decoded.frames == []
    assert len(decoded.audio) == pytest.approx(51_200, abs=16)


@pytest.mark.parametrize("fraction", [0.001, 0.01, 0.3, 0.6, 0.9, 0.99])
def test_truncated_mp4_is_an_error(
    short_clips: dict[str, Path], tmp_path: Path, fraction: float
) -> None:
    """The index of these files is at the end."""
    whole = short_clips["mp4"].read_bytes()
    path = tmp_path / "x.mp4"
    path.write_bytes(whole[: int(fraction * len(whole))])
    with pytest.raises(MediaError, match="not readable as media"):
        decode(path)


@pytest.mark.parametrize(
    ("unknown", "frames", "has_audio"),
    [(("V_MPEG4",), 0, True), (("A_FLAC",), 16, False)],
    ids=["video", "audio"],
)
def test_stream_of_an_unknown_codec_is_ignored(
    short_clips: dict[str, Path],
    tmp_path: Path,
    unknown: tuple[str, ...],
    frames: int,
    has_audio: bool,
) -> None:
    decoded = decode(rename_codecs(short_clips["mkv"], tmp_path, *unknown))
    assert len(decoded.frames) == frames
    assert bool(len(decoded.audio)) == has_audio


def test_file_without_a_known_codec_is_an_error(
    short_clips: dict[str, Path], tmp_path: Path
) -> None:
    path = rename_codecs(short_clips["mkv"], tmp_path, "V_MPEG4", "A_FLAC")
    with pytest.raises(MediaError, match="neither video nor audio"):
        decode(path)


def rename_codecs(clip: Path, folder: Path, *codecs: str) -> Path:
    """Copy a clip, with codec names that FFmpeg does not know."""
    whole = clip.read_bytes()
    for codec in codecs:
        assert codec.encode() in whole
        whole = whole.replace(
            codec.encode(), codec[:2].encode() + b"Z" * len(codec[2:])
        )
    path = folder / clip.name
    path.write_bytes(whole)
    return path
