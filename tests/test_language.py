"""Docstrings, help texts and documentation are in plain technical English.

Offenders are printed as ``FILE:LINE: phrase``. Code in backticks, code blocks and link
targets are not checked.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from mmder_prep.cli.main import add_corpora
from mmder_prep.cli.main import cli as prep
from mmder_train.cli.main import cli as train

ROOT = Path(__file__).parents[1]
PACKAGES = ("train", "preprocess", "shared", "benchmarks")
DOCS = ("*.md", "docs/**/*.md", "data_manifests/README.md", "benchmarks/README.md")
FIRST_WORDS = re.compile(
    r"\A\W*(What|Which|Who|How|Whether|Where|Of|When|That|None"
    r"|Gives?|Tells?|Says?|Speaks?)\b"
)
"""Words that no docstring or help text starts with."""
UNIT = (
    r"(?:clip|step|fold|epoch|second|worker|process|shard|job|speaker|frame|class|"
    r"window|batch|actor|minute|run|row|thread|group|corpus)"
)
COUNTED = (
    r"(?:one|two|\d+|clips|steps|frames|epochs|files|folders|bytes|[kMG]i?B|ms|rows|"
    r"seconds|columns|numbers|processes|threads|chunks?|lines?|pictures|images|time|s)"
)
PHRASES = {
    "return, yield, compute": r"gives?|gave|(?:is|are|was|were|be|been) given",
    "log, report, print, check": r"tells?|told|says?|said",
    "if, when": r"(?:none|only|but|except|save|even) where|where (?:there|one) "
    r"(?:is|are|has|was)|where (?:wanted|needed|possible|known|none|no|not)",
    "a noun": r"what (?:became|comes|came|becomes) of",
    "only, by itself": r"alone|lonely",
    "no process": r"nobody|whoever|deaf|tired|hunt(?:s|ed|ing)?",
    "again": r"anew|once more",
    "next to, with": r"beside",
    "resume, continue": r"(?:go|goes|going|gone|went) on",
    "release, free": r"lets? go|letting go",
    "n, the number of": r"so many",
    "skip": r"pass(?:es|ed)? (?:\w+ )?by(?! (?:a|an|the|one|its|name|value)\b)",
    "is, represent": r"stands?|stood",
    "is": r"lies?|lain",
    "bit for bit": r"to the last (?:digit|bit)",
    "is not a": r"(?<!there\s)(?:is|are|was|were) no (?!longer|more|less|fewer|later|"
    r"earlier|larger|smaller|greater|wider)\w+",
    "per": rf"{COUNTED} an? {UNIT}",
}
"""Patterns by the plain words to use in their place."""
FORBIDDEN = {
    plain: re.compile(r"\b(?:" + pattern.replace(" ", r"\s+") + r")\b", re.IGNORECASE)
    for plain, pattern in PHRASES.items()
}
MAX_PER_10_000 = {"what": 10, "where": 15}
"""Allowed frequency of words in docstrings."""


@dataclass(frozen=True)
class Text:
    """A docstring, a help text or a page, and its position."""

    source: str
    line: int
    text: str

    def at(self, position: int) -> str:
        """Return file and line of a character."""
        line = self.line + self.text.count("\n", 0, position)
        return f"{self.source}:{line}"

    def offenders(self) -> Iterator[str]:
        """Yield the forbidden phrases."""
        for plain, pattern in FORBIDDEN.items():
            for match in pattern.finditer(self.text):
                phrase = " ".join(match[0].split())
                yield f"{self.at(match.start())}: {phrase!r} (plain: {plain})"

    def first_word(self) -> Iterator[str]:
        """Yield the first word if it is forbidden there."""
        if match := FIRST_WORDS.match(self.text):
            yield f"{self.at(0)}: starts with {match[1]!r}"


def blank(pattern: str, text: str) -> str:
    """Return the text with underscores in place of what matches; lines are kept."""
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", "_", m[0]), text, flags=re.M)


def prose(text: str) -> str:
    """Return the text without inline code."""
    return blank(r"(`+)(?:(?!`)[\s\S])+?\1", text)


def docstrings() -> Iterator[Text]:
    """Yield the docstrings of modules, classes, functions, constants and fields."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            strings = {
                node.lineno: node.value.value
                for node in ast.walk(ast.parse(file.read_text()))
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            }
            for line, text in sorted(strings.items()):
                yield Text(str(file.relative_to(ROOT)), line, prose(str(text)))


def help_texts() -> Iterator[Text]:
    """Yield the help texts of all commands and options."""
    add_corpora()
    for program, group in (("mmder-prep", prep), ("mmder-train", train)):
        for command in (group, *group.commands.values()):
            name = program if command is group else f"{program} {command.name}"
            yield Text(name, 1, prose(command.help or ""))
            for option in command.params:
                text: Any = getattr(option, "help", None)
                if isinstance(option, click.Option) and text:
                    yield Text(f"{name} {option.opts[0]}", 1, prose(text))


def pages() -> Iterator[Text]:
    """Yield the pages of the documentation, without code blocks and link targets."""
    for pattern in DOCS:
        for file in sorted(ROOT.glob(pattern)):
            text = blank(r"^( *)(```|~~~)[\s\S]*?^\1\2", file.read_text())
            text = blank(r"^(?: {4}|\t)(?!\s*(?:[-*]|\d+\.) ).*$", text)
            text = blank(r"\]\([^)]*\)|<!--[\s\S]*?-->|https?://\S+", text)
            yield Text(str(file.relative_to(ROOT)), 1, prose(text))


def report(offenders: list[str]) -> None:
    """Fail and print all offenders, if there are any."""
    if offenders:
        lines = (f"{len(offenders)} offenders", *offenders)
        pytest.fail("\n".join(lines), pytrace=False)


def test_docstrings() -> None:
    """No docstring contains a forbidden phrase or starts with a forbidden word."""
    found = list(docstrings())
    assert len(found) > 1000
    report([o for text in found for o in (*text.first_word(), *text.offenders())])


def test_help_texts() -> None:
    """No help text contains a forbidden phrase or starts with a forbidden word."""
    found = list(help_texts())
    assert len(found) > 100
    report([o for text in found for o in (*text.first_word(), *text.offenders())])


def test_documentation() -> None:
    """No page contains a forbidden phrase."""
    report([offender for page in pages() for offender in page.offenders()])


@pytest.mark.parametrize("word", MAX_PER_10_000)
def test_frequency_in_docstrings(word: str) -> None:
    """Words that usually hide a noun or a condition are rare."""
    found = list(docstrings())
    total = sum(len(re.findall(r"[A-Za-z']+", text.text)) for text in found)
    pattern = re.compile(rf"\b{word}\b", re.IGNORECASE)
    hits = [text.at(m.start()) for text in found for m in pattern.finditer(text.text)]
    rate = 10_000 * len(hits) / total
    if rate >= MAX_PER_10_000[word]:
        report([f"{word!r}: {rate:.1f} per 10,000 words", *hits])
