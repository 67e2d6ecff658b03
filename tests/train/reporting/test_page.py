"""Reports are self-contained, reproducible, and free of markup from run names."""

import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from fake_runs import make_run

Compare = Callable[..., Result]


def test_the_page_is_self_contained_and_deterministic(compare: Compare) -> None:
    make_run(Path("a"))
    make_run(Path("b"), strategy="audio", seed=None, draws=1)
    compare("a", "b", "--out", "one")
    compare("b", "a", "--out", "two")
    for name in ("compare.md", "compare.csv", "compare.html"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    page = Path("one/compare.html").read_text()
    assert set(re.findall(r'src="([^,]*),', page)) == {"data:image/svg+xml;base64"}
    assert page.count("<img") == 3
    assert "http" not in page
    assert "MultiMAE-DER-FSLF" in page
    assert str(Path.cwd()) not in page


def test_settings_of_a_run_are_escaped(compare: Compare) -> None:
    make_run(Path("a"), encoder="<script>|x")
    compare("a")
    assert "<script>" not in Path("compare/compare.html").read_text()
    assert "&lt;script>\\|x" in Path("compare/compare.md").read_text()
