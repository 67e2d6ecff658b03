"""The frame of every benchmark: competitors in turn, figures beside the last ones.

A benchmark is a script with a function `measure(quick)` that gives figures, and the
line ``main(measure)``. It prints a table against the figures last recorded, and with
``--record`` takes their place in `results.json`.
"""

import argparse
import gc
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from mmder_store.atomic_files import write_json

RESULTS = Path(__file__).with_name("results.json")
LIBRARIES = ("numpy", "zarr", "numcodecs", "torch", "av")
NOISE = {"x": 0.25, "%": 0.1, "kB/clip": 0.02, "MiB": 0.25}
"""Share that two quick runs of the same code mostly stay below, by unit. Times are not
judged by what they were: others use the machine too, and the next one is another."""
TRIFLE = 0.05
"""A change by less than this share of the goal is none."""

Times = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number that a benchmark found."""

    name: str
    """Stays the same from version to version: figures are compared by it."""
    value: float
    unit: str
    """``x`` is a ratio of two times of one run, comparable between machines."""
    better: Literal["less", "more"]
    goal: float | None = None
    """What it should be at most (`less`) or at least (`more`)."""

    @property
    def met(self) -> bool:
        """Tell whether it reaches its goal; without one it does."""
        if self.goal is None:
            return True
        return self.value == self.goal or (
            (self.value < self.goal) == (self.better == "less")
        )

    def worsening(self, last: float) -> float:
        """Give by which share it is worse than it was; below 0 it is better."""
        now, then = (self.value, last) if self.better == "less" else (last, self.value)
        return (now - then) / abs(then) if then else 0.0

    def worse(self, last: float) -> bool:
        """Tell whether it is worse than it was by more than chance and a trifle."""
        noise, trifle = NOISE.get(self.unit), TRIFLE * (self.goal or 0)
        return (
            noise is not None
            and self.worsening(last) > noise
            and abs(self.value - last) > trifle
        )


Measure = Callable[[bool], Sequence[Figure]]
"""Takes whether to be quick, gives figures."""


def interleaved(
    tasks: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    before: Callable[[str], object] | None = None,
) -> Times:
    """Time every task once a round, in an order drawn anew each round.

    What else the machine does then meets all of them alike.

    Args:
        tasks: What is timed, by name.
        rounds: Times each is timed; a round before them warms up.
        clock: `time.process_time` counts this process' own work alone.
        before: Called with the name before each task, and not timed.

    Returns:
        Seconds, by name, in the order of the rounds.
    """
    names, draw = list(tasks), random.Random(0)
    times: Times = {name: [] for name in names}
    for turn in range(rounds + 1):
        draw.shuffle(names)
        for name in names:
            if before is not None:
                before(name)
            gc.collect()
            start = clock()
            tasks[name]()
            took = clock() - start
            if turn:
                times[name].append(took)
    return times


def ratio(times: Times, ours: str, theirs: str) -> float:
    """Give the median over the rounds of one task's time by another's."""
    return median(a / b for a, b in zip(times[ours], times[theirs], strict=True))


def machine() -> dict[str, Any]:
    """Describe the machine and the libraries, as far as figures depend on them."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model n")]
        model = names[0].partition(":")[2].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def main(measure: Measure) -> None:
    """Be the command line of a benchmark script."""
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--record", action="store_true", help=f"keep in {RESULTS.name}")
    parser.add_argument("--figures", type=Path, help="write the figures here as JSON")
    asked = parser.parse_args()
    start = time.monotonic()
    figures = measure(asked.quick)
    took_s = time.monotonic() - start
    key = f"{name} quick" if asked.quick else name
    if asked.figures:
        write_json(asked.figures, [asdict(f) for f in figures])
    else:
        show({key: figures}, recorded())
        print(f"{took_s:.0f} s")
    if asked.record:
        keep({key: figures})


def recorded() -> dict[str, Any]:
    """Read what was last recorded, by benchmark."""
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def keep(runs: Mapping[str, Iterable[Figure]]) -> None:
    """Put figures, with machine and date, in the place of the last ones."""
    facts = {"date": datetime.now(UTC).date().isoformat(), "machine": machine()}
    fresh = {
        key: {**facts, "figures": {f.name: asdict(f) for f in figures}}
        for key, figures in runs.items()
    }
    write_json(RESULTS, {**recorded(), **fresh})


def show(runs: Mapping[str, Iterable[Figure]], last: Mapping[str, Any]) -> None:
    """Print figures beside the last ones; say what became worse or misses its goal."""
    for key, figures in runs.items():
        old = last.get(key, {})
        then: dict[str, Any] = old.get("figures", {})
        table = Table(title=f"{key}, last recorded {old.get('date', 'never')}")
        for column in ("figure", "unit"):
            table.add_column(column)
        for column in ("now", "last", "goal"):
            table.add_column(column, justify="right")
        table.add_column("")
        for f in figures:
            was = then.get(f.name, {}).get("value")
            said = [] if f.met else ["misses its goal"]
            if was is not None and f.worse(was):
                said.append(f"worse by {f.worsening(was):.0%}")
            goal = "" if f.goal is None else f"{'<>'[f.better == 'more']} {f.goal:g}"
            table.add_row(
                f.name,
                f.unit,
                f"{f.value:.3g}",
                "" if was is None else f"{was:.3g}",
                goal,
                ", ".join(said),
            )
        # Files and pipes have no width: nothing is to be cut there.
        Console(width=None if sys.stdout.isatty() else 120).print(table)
