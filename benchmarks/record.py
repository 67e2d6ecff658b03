"""Framework of the benchmarks: time tasks, compare figures with the recorded ones.

A benchmark is a script with a function `measure(quick)` that returns figures, and the
line ``main(measure)``. It prints a table of the figures against those last recorded.
With ``--record`` it replaces them in `results.json`.
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
"""By unit, the relative change below which two quick runs of the same code mostly stay.

Times are not compared with recorded ones: other programs use the machine too, and the
next machine is another one.
"""
NEGLIGIBLE = 0.05
"""Changes below this fraction of the goal are ignored."""

Times = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number measured by a benchmark."""

    name: str
    """Name that stays the same across versions: figures are compared by it."""
    value: float
    unit: str
    """Unit. ``x`` is a ratio of two times of one run, comparable between machines."""
    better: Literal["less", "more"]
    goal: float | None = None
    """Upper limit (`less`) or lower limit (`more`)."""

    @property
    def met(self) -> bool:
        """True if the figure reaches its goal or has none."""
        if self.goal is None:
            return True
        return self.value == self.goal or (
            (self.value < self.goal) == (self.better == "less")
        )

    def worsening(self, last: float) -> float:
        """Return the relative change for the worse; negative if the figure improved."""
        now, then = (self.value, last) if self.better == "less" else (last, self.value)
        return (now - then) / abs(then) if then else 0.0

    def worse(self, last: float) -> bool:
        """Return whether the figure worsened beyond noise and negligible changes."""
        noise, negligible = NOISE.get(self.unit), NEGLIGIBLE * (self.goal or 0)
        return (
            noise is not None
            and self.worsening(last) > noise
            and abs(self.value - last) > negligible
        )


Measure = Callable[[bool], Sequence[Figure]]
"""Function that takes whether the run is quick and returns figures."""


def interleaved(
    tasks: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    before: Callable[[str], object] | None = None,
) -> Times:
    """Time every task once per round, in a new random order each round.

    Load from other programs then affects all tasks alike.

    Args:
        tasks: Tasks to time, by name.
        rounds: Number of timed rounds. One untimed round before them warms up.
        clock: Clock to read. `time.process_time` counts only this process' own work.
        before: Function called with the name before each task; it is not timed.

    Returns:
        Seconds by task name, in the order of the rounds.
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
            seconds = clock() - start
            if turn:
                times[name].append(seconds)
    return times


def ratio(times: Times, numerator: str, denominator: str) -> float:
    """Return the median over the rounds of one task's time divided by another's."""
    pairs = zip(times[numerator], times[denominator], strict=True)
    return median(a / b for a, b in pairs)


def machine() -> dict[str, Any]:
    """Return the properties of machine and libraries on which figures depend."""
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
    """Run the command line of a benchmark script."""
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--quick", action="store_true", help="make a small run")
    parser.add_argument(
        "--record", action="store_true", help=f"save the figures in {RESULTS.name}"
    )
    parser.add_argument(
        "--figures", type=Path, help="write the figures to this file as JSON"
    )
    options = parser.parse_args()
    start = time.monotonic()
    figures = measure(options.quick)
    seconds = time.monotonic() - start
    key = f"{name} quick" if options.quick else name
    if options.figures:
        write_json(options.figures, [asdict(f) for f in figures])
    else:
        show({key: figures}, recorded())
        print(f"{seconds:.0f} s")
    if options.record:
        save({key: figures})


def recorded() -> dict[str, Any]:
    """Load the recorded figures, by benchmark."""
    results: dict[str, Any] = {}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text())
    return results


def save(runs: Mapping[str, Iterable[Figure]]) -> None:
    """Replace the recorded figures of these runs, with machine and date."""
    origin = {"date": datetime.now(UTC).date().isoformat(), "machine": machine()}
    new = {
        key: {**origin, "figures": {f.name: asdict(f) for f in figures}}
        for key, figures in runs.items()
    }
    write_json(RESULTS, {**recorded(), **new})


def show(runs: Mapping[str, Iterable[Figure]], last: Mapping[str, Any]) -> None:
    """Print figures next to the recorded ones, and mark worse ones and missed goals."""
    for key, figures in runs.items():
        old = last.get(key, {})
        old_figures: dict[str, Any] = old.get("figures", {})
        table = Table(title=f"{key}, last recorded {old.get('date', 'never')}")
        for column in ("figure", "unit"):
            table.add_column(column)
        for column in ("now", "last", "goal"):
            table.add_column(column, justify="right")
        table.add_column("")
        for f in figures:
            old_value = old_figures.get(f.name, {}).get("value")
            remarks = [] if f.met else ["misses its goal"]
            if old_value is not None and f.worse(old_value):
                remarks.append(f"worse by {f.worsening(old_value):.0%}")
            goal = "" if f.goal is None else f"{'<>'[f.better == 'more']} {f.goal:g}"
            table.add_row(
                f.name,
                f.unit,
                f"{f.value:.3g}",
                "" if old_value is None else f"{old_value:.3g}",
                goal,
                ", ".join(remarks),
            )
        # Files and pipes have no width: a fixed one, so that no cell is cut.
        Console(width=None if sys.stdout.isatty() else 120).print(table)
