"""Write the reference pages that are made from the code: `make reference`.

`tests/test_docs.py` compares the pages with what this script would write.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path

import rich_click as click

from mmder_prep.cli.main import add_corpora
from mmder_prep.cli.main import cli as prep
from mmder_store.schema import table
from mmder_train.cli.main import cli as train
from mmder_train.config.recipes import METHODS, RECIPES
from mmder_train.config.train_config import TrainConfig

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PACKAGES = (
    "shared/mmder_store",
    "shared/mmder_cli",
    "preprocess/mmder_prep",
    "train/mmder_train",
)
BY_WEIGHTS = ("encoder", "image_norm")
"""Settings whose default follows from the weights."""
NOTE = "<!-- Written by docs/generate.py; edit the code, then run `make reference`. -->"


def command_reference(program: str, group: click.Group) -> str:
    """Return the reference page of a program."""
    parts = [NOTE, f"# {program}", *_command(program, group)]
    for name in sorted(group.commands):
        parts += [
            f"## {program} {name}",
            *_command(f"{program} {name}", group.commands[name]),
        ]
    return "\n\n".join(parts) + "\n"


def _command(path: str, command: click.Command) -> Iterator[str]:
    """Yield the help text, the usage line and the option tables of a command."""
    with click.Context(command, info_name=path) as context:
        usage = " ".join(command.collect_usage_pieces(context))
        yield _paragraphs(command.help or "")
        yield f"```text\n{path} {usage}\n```"
        by_panel: dict[str, list[str]] = {}
        for option in command.get_params(context):
            if isinstance(option, click.Option) and option.name != "help":
                panel = str(getattr(option, "panel", None) or "Options")
                by_panel.setdefault(panel, []).append(_option(option))
        for panel, rows in by_panel.items():
            head = f"| {panel} | default | |\n|---|---|---|"
            yield "\n".join([head, *rows])


def _paragraphs(text: str) -> str:
    """Return a help text with one line per paragraph."""
    return "\n\n".join(
        " ".join(p.split()) for p in re.split(r"\n\s*\n", text.strip()) if p.strip()
    )


def _option(option: click.Option) -> str:
    """Return the table row of an option."""
    text, _, named = " ".join((option.help or "").split()).partition("[default:")
    names = ", ".join(
        f"`{name}`" for name in (*reversed(option.opts), *option.secondary_opts)
    )
    kind = "" if option.is_flag else f" {_kind(option)}"
    cells = (f"{names}{kind}", named.strip(" ]") or _default(option), text.strip())
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _default(option: click.Option) -> str:
    """Return the default of an option as text, empty if there is none."""
    if isinstance(option.show_default, str):
        return option.show_default
    if option.is_flag or not isinstance(option.default, (str, int, float, tuple, Path)):
        return ""
    values = option.default if isinstance(option.default, tuple) else (option.default,)
    return ", ".join(map(str, values))


def _kind(option: click.Option) -> str:
    """Return the values that an option accepts."""
    if isinstance(option.type, click.Choice):
        return ", ".join(map(str, option.type.choices))
    return (option.metavar or option.type.name).replace("|", ", ")


def store_reference() -> str:
    """Return the page of the store's arrays and columns."""
    lead = (ROOT / "docs" / "reference" / "store.in.md").read_text(encoding="utf-8")
    return f"{NOTE}\n\n{lead.strip()}\n\n{table()}\n"


def recipe_reference() -> str:
    """Return the page of the recipes: each setting that one of them changes."""
    defaults = {f.name: f.default for f in fields(TrainConfig)}
    shown = {
        name: {**METHODS[recipe.settings["method"]], **recipe.settings}
        for name, recipe in RECIPES.items()
    }
    spelled = {str(p.name): p.opts[0] for p in train.params}
    names = [n for n in spelled if any(n in settings for settings in shown.values())]
    parts = [
        NOTE,
        "# Recipes",
        "`--recipe` sets every option below that the command line does not name. All "
        "other options keep their defaults ([mmder-train](cli-train.md)). Options that "
        "you name take precedence. Without a recipe, the method determines epochs, "
        "batch size and learning rate. `results.json` records all values.",
        _grid("source", {n: r.source for n, r in RECIPES.items()}),
        "## Settings",
    ]
    head = "| option | default | " + " | ".join(f"`{n}`" for n in shown) + " |"
    rows = [head, "|---" * (len(shown) + 2) + "|"]
    for name in names:
        default = "by weights" if name in BY_WEIGHTS else _value(defaults[name])
        cells = [_value(s[name]) if name in s else default for s in shown.values()]
        marked = [c if c == default else f"**{c}**" for c in cells]
        rows.append(f"| `{spelled[name]}` | {default} | " + " | ".join(marked) + " |")
    parts.append("\n".join(rows))
    parts += ["## Without a recipe", _method_table(spelled)]
    return "\n\n".join(parts) + "\n"


def _grid(title: str, rows: Mapping[str, str]) -> str:
    """Return a table of two columns."""
    lines = [f"| `{name}` | {text} |" for name, text in rows.items()]
    return "\n".join([f"| recipe | {title} |", "|---|---|", *lines])


def _method_table(spelled: Mapping[str, str]) -> str:
    """Return the defaults of each training method."""
    names = list(next(iter(METHODS.values())))
    head = "| method | " + " | ".join(f"`{spelled[n]}`" for n in names) + " |"
    rows = [
        f"| `{method}` | " + " | ".join(_value(values[n]) for n in names) + " |"
        for method, values in METHODS.items()
    ]
    return "\n".join([head, "|---" * (len(names) + 1) + "|", *rows])


def _value(value: object) -> str:
    """Return a setting as text."""
    if value is MISSING or value == "":
        return "by method"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def architecture() -> str:
    """Return the page of the layers and of every module."""
    lead = (ROOT / "docs" / "reference" / "architecture.in.md").read_text(
        encoding="utf-8"
    )
    parts = (NOTE, lead.strip(), "## Layers", _layers(), "## Modules", _tree())
    return "\n\n".join(parts) + "\n"


def _layers() -> str:
    """Return the layers of the import contracts, upper layers first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = []
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            rows = [f"| {row.replace(' : ', ', ')} |" for row in contract["layers"]]
            head = f"| {contract['containers'][0]} |\n|---|"
            parts.append("\n".join([head, *rows]))
    return "\n\n".join(parts)


def _tree() -> str:
    """Return every module with the first sentence of its docstring."""
    parts = []
    for package in PACKAGES:
        rows = [f"| {package} | |", "|---|---|"]
        for file in sorted((ROOT / package).rglob("*.py")):
            name = file.relative_to(ROOT / package).as_posix()
            docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
            first = re.split(r"(?<=[.?])\s", " ".join(docstring.split()))[0]
            rows.append(f"| `{name}` | {first} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def pages() -> dict[Path, Callable[[], str]]:
    """Return the generated pages and the functions that make them."""
    if "ravdess" not in prep.commands:
        add_corpora()
    return {
        REFERENCE / "cli-prep.md": lambda: command_reference("mmder-prep", prep),
        REFERENCE / "cli-train.md": lambda: command_reference("mmder-train", train),
        REFERENCE / "store.md": store_reference,
        REFERENCE / "recipes.md": recipe_reference,
        REFERENCE / "architecture.md": architecture,
    }


if __name__ == "__main__":
    for path, make in pages().items():
        path.write_text(make(), encoding="utf-8")
