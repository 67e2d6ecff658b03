"""Printed overview of a store."""

from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmder_prep.quality.coverage import coverage
from mmder_store.schema import COLUMNS, STATUSES, arrays_of, shape_of
from mmder_store.store import Store

MAX_FAULTY_CLIPS = 20
"""Maximum number of clips to print that are not ok."""


def show(store: Store, console: Console) -> None:
    """Print contents, settings, counts and sizes of a store."""
    spec, columns = store.spec, store.columns
    console.print(
        f"[bold]{printable(store.path.name)}[/]: {printable(spec.corpus)}, "
        f"{len(store)} clips of "
        f"{len(set(columns['speaker']))} speakers in {spec.shards} shards, "
        f"sealed {store.sha256[:12]}"
    )
    status = Counter(columns["status"])
    console.print(
        "status   " + ", ".join(f"{s} {status[s]}" for s in STATUSES if status[s])
    )
    clamped = int((columns["clamped"] > 0).sum())
    console.print(f"clamped  {clamped} clips end before their 16th frame")
    covered = coverage(columns, spec.settings)
    if covered.line:
        console.print(f"unused   {covered.line}. {covered.advice}")
    settings = spec.settings.to_json().items()
    console.print("settings " + ", ".join(f"{k} {v}" for k, v in settings))
    console.print(
        "versions "
        + ", ".join(printable(f"{k} {v}") for k, v in store.versions.items())
    )
    for labels in spec.label_sets:
        text = f"{labels.name}: {', '.join(labels.classes)}"
        console.print(f"labels   {printable(text)}")
    for protocol in spec.protocols:
        folds = len(set(protocol.fold_of.values()))
        text = f"{protocol.name}: {folds}, {protocol.source}"
        console.print(f"folds    {printable(text)}")
    console.print(_emotions(store))
    console.print(_sizes(store))
    for row in (columns["status"] != "ok").nonzero()[0][:MAX_FAULTY_CLIPS]:
        values = [str(columns[n][row]) for n in ("clip_id", "status", "reason")]
        console.print(printable("{}: {}, {}".format(*values)))


def printable(text: str) -> str:
    """Return a text of a foreign store without control codes and without markup."""
    shown = (c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return escape("".join(shown))


def _emotions(store: Store) -> Table:
    """Return a table of the number of clips per emotion."""
    table = Table("emotion", "clips", "ok", title="emotions")
    emotions, ok = store.columns["emotion"], store.columns["status"] == "ok"
    for emotion, count in sorted(Counter(emotions).items()):
        usable = int(((emotions == emotion) & ok).sum())
        table.add_row(printable(emotion) or "(none)", str(count), str(usable))
    return table


def _sizes(store: Store) -> Table:
    """Return a table of the arrays with their shapes and sizes on disk."""
    table = Table("array", "shape per clip", "dtype", "MB on disk", title="arrays")
    sizes = store.size_bytes()
    for array in arrays_of(store.spec.settings):
        shape = " x ".join(map(str, shape_of(array, store.spec.settings)))
        table.add_row(array.name, shape, array.dtype, f"{sizes[array.name] / 1e6:.1f}")
    columns = sum(sizes[c.name] for c in COLUMNS) / 1e6
    table.add_row(f"{len(COLUMNS)} columns", "", "", f"{columns:.1f}")
    total = sum(sizes.values()) / 1e6
    table.add_row("all", "", "", f"{total:.1f}")
    return table
