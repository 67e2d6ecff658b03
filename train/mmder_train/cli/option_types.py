"""Types of option values: strategy names, encoder parts, fold numbers and seeds."""

from typing import Any

import rich_click as click

STRATEGIES = ("cfas", "sfas", "ffls", "fslf", "ofos", "rfas", "video", "audio")


class StrategyNames(click.ParamType[Any]):
    """Strategy names separated by commas; ``all`` means every one."""

    name = "NAME[,NAME...]|all"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names; fail on an unknown one."""
        if isinstance(value, tuple):
            return value
        names = tuple(n.strip().lower() for n in str(value).split(","))
        if names == ("all",):
            return STRATEGIES
        for name in names:
            if name not in STRATEGIES:
                self.fail(
                    f"{name!r} is not one of {', '.join(STRATEGIES)}, all.", param, ctx
                )
        return names


class ModalityNames(click.ParamType[Any]):
    """Modalities separated by commas; ``none`` means no one."""

    name = "audio|video[,...]|none"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names, sorted; fail on an unknown one."""
        if isinstance(value, tuple):
            return value
        names = {n.strip().lower() for n in str(value).split(",")}
        if names == {"none"}:
            return ()
        for name in sorted(names - {"audio", "video"}):
            self.fail(f"{name!r} is not one of audio, video, none.", param, ctx)
        return tuple(sorted(names))


class PartNames(click.ParamType[Any]):
    """Names of encoder parts separated by commas."""

    name = "PART[,PART...]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names that are not empty."""
        if isinstance(value, tuple):
            return value
        return tuple(n.strip() for n in str(value).split(",") if n.strip())


class FoldNumber(click.ParamType[Any]):
    """A fold number from 1, or ``all``, which is returned as None."""

    name = "K|all"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return the number, or None for all folds."""
        if value == "all":
            return None
        try:
            number = int(str(value))
        except ValueError:
            number = 0
        if number < 1:
            self.fail(
                f"{value!r}: expected a number from 1, or all."
                + _one_per_run(value, "--fold", "A run has one fold or all"),
                param,
                ctx,
            )
        return number


class SeedNumber(click.ParamType[Any]):
    """A seed: one integer."""

    name = "integer"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number; fail on anything else."""
        try:
            return int(str(value))
        except ValueError:
            self.fail(
                f"{value!r}: expected one integer."
                + _one_per_run(
                    value, "--seed", "'mmder-train compare' averages runs over seeds"
                ),
                param,
                ctx,
            )


class SeedNumbers(click.ParamType[Any]):
    """Seeds: integers separated by commas."""

    name = "N[,N...]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers; fail on anything else."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(n) for n in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: expected integers separated by commas.", param, ctx)


def _one_per_run(value: object, option: str, reason: str) -> str:
    """Return advice on several numbers, an empty text for any other value."""
    numbers = str(value).replace(",", " ").split()
    if len(numbers) < 2 or not all(n.isdecimal() for n in numbers):
        return ""
    commands = ", ".join(f"{option} {n}" for n in numbers)
    return f" {reason}: run the command once with each of {commands}."
