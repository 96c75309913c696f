"""What several commands share: their options, and words for a person on stderr."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

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
        click.echo(text, err=True)


def agreed(question: str) -> bool:
    """Ask; where nobody can answer, that is no."""
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        click.echo(err=True)
    return answer.strip().lower() in {"y", "yes"}
