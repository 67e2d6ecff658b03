"""The parts of the README that are made from the code: `make readme` writes them."""

import ast
import re
from pathlib import Path

from mmder_store.schema import table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ROOMS = (
    "shared/mmder_store",
    "preprocess/mmder_prep",
    "train/mmder_train",
    "benchmarks",
)


def tree() -> str:
    """Every module and benchmark with the first sentence of its docstring."""
    lines = []
    for room in ROOMS:
        lines.append(f"{room}/")
        for file in sorted((ROOT / room).rglob("*.py")):
            name = file.relative_to(ROOT / room).as_posix()
            if name == "__init__.py":
                continue
            said = ast.get_docstring(ast.parse(file.read_text())) or ""
            first = re.split(r"(?<=[.?])\s", " ".join(said.split()))[0]
            lines.append(f"  {name:<22} {first}")
    return "```\n" + "\n".join(lines) + "\n```"


PARTS = {"store": table, "tree": tree}


def made(text: str) -> str:
    """The README with every such part as the code has it now."""
    for name, make in PARTS.items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, stop, after = rest.partition(f"\n<!-- /{name} -->")
        assert start, name
        assert stop, name
        text = before + start + make() + stop + after
    return text


if __name__ == "__main__":
    README.write_text(made(README.read_text()))
