"""Text from outside is made safe for the page."""

from mmder_prep.quality.report import text


def test_text_is_made_safe() -> None:
    """Folders, hidden characters, surrogates and excess length are removed."""
    assert text.without_paths("cannot read '/home/me/a b/x.mp4'") == (
        "cannot read '…/x.mp4'"
    )
    assert text.without_paths(r"no C:\Users\me\x.mp4: gone") == "no …/x.mp4: gone"
    assert text.without_paths("24 frames/s, A/V") == "24 frames/s, A/V"
    assert text.plain("a\u202eb\ud800\nc") == "a\ufffdb\ufffd\ufffdc"
    assert len(text.plain("x" * 10_000)) == text.MAX_CHARACTERS
