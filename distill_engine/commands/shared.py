"""What several commands share: their options, and the ways in which one writes to the terminal.

Names, messages and files are other people's, so all of these ways escape what steers a terminal.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from distill_engine.words import shown, shown_json, shown_lines

F = TypeVar("F", bound=Callable[..., Any])

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")


class FiniteRange(click.FloatRange):
    """A number between two limits, which "nan" is not: it compares with neither, so click's own range lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Return the number that `value` is a text of."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def say(text: str) -> None:
    """Write words for a person; where the terminal is gone, a command still ends as it would have."""
    with contextlib.suppress(OSError):
        click.echo(shown_lines(text), err=True)


def tell(text: str) -> None:
    """Print what a person asked for."""
    click.echo(shown_lines(text))


def tell_data(value: object) -> None:
    """Print what a script asked for, as one JSON value on a line."""
    import msgspec  # 20 ms that other commands save

    click.echo(shown_json(msgspec.json.encode(value)))


def tell_path(path: Path) -> None:
    """Print where something is: to a script just as it is called, to a terminal fit to be shown."""
    click.echo(shown(str(path)) if sys.stdout.isatty() else path)


def agreed(question: str) -> bool:
    """Ask; where nobody can answer, that is no."""
    click.echo(f"{shown(question)} [y/N] ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        click.echo(err=True)
    return answer.strip().lower() in {"y", "yes"}
