"""Bad input, made to order: texts that steer a terminal, values that no field wants, files damaged at random.

What is drawn is drawn by hypothesis, without chance, so that the same trial tries the same inputs; a failing one is
shrunk to the least that still fails.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

TEXTS = (
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "\x1b]52;c;cm0gLXJm\x07",
    "\u202egnp.exe",
    "\u2066\u2069",
    "one\ntwo",
    "one\r\x1b[Atwo",
    "\x00",
    "\x7f",
    "\u2028",
    "\U000e0041",
    "",
    " ",
    ".",
    "..",
    "~",
    "~root",
    "../../../outside",
    "/etc/passwd",
    "a/../../../outside",
    "[bold]x[/]",
    "[@click=app.leave]x[/]",
    "[/]",
    "$(touch outside)",
    "`touch outside`; touch outside",
    "-rf",
    "--help",
    "%s%n{0}{x}",
    "e\u0301\u0301\u0301" * 20,
    "👨‍👩‍👧 ",
    "x" * 5000,
    "NaN",
    "auto",
)
"""Names, messages and paths of strangers."""

NUMBERS = (
    *(0, 1, -1, 2, 255, 2**31, 2**32 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.5, -0.0, 5e-324, 1e-300, 3.4e38, 1e39, 1e300, 1.7e308, -1.7e308),
    *(float("nan"), float("inf"), float("-inf")),
)

_DEEP, _DIGITS, _AGAIN = "@deep@", "@digits@", "@again@"
_LEVELS, _LENGTH = 100_000, 10_000

texts: SearchStrategy[str] = st.sampled_from(TEXTS) | st.text(max_size=20)
_leaves = st.none() | st.booleans() | st.sampled_from(NUMBERS) | texts | st.sampled_from((_DEEP, _DIGITS))
values: SearchStrategy[Any] = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=6
)
"""Anything JSON can hold and more: not-a-number, numbers of ten thousand digits, brackets a hundred thousand deep."""


def each(strategy: SearchStrategy[Any], count: int, tried: Callable[[Any], object]) -> None:
    """Try so many inputs, the same ones every time."""
    checked = settings(
        derandomize=True,
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    def try_one(drawn: Any) -> None:  # noqa: ANN401
        tried(drawn)

    checked(given(strategy)(try_one))()


def mutations(document: object) -> SearchStrategy[object]:
    """Draw the document with one or two of its values replaced, taken away, given twice, or joined by others.

    Most of what replaces a value is of its kind, so that it isn't refused for that.
    """
    places = st.sampled_from([place for place in _places(document) if place or document == {}])
    changes = places.flatmap(lambda place: st.tuples(st.just(place), _changes_of(_at(document, place))))
    return st.lists(changes, min_size=1, max_size=2).map(lambda changes: _changed(document, changes))


def spoilt(document: Any) -> Iterator[object]:  # noqa: ANN401
    """Yield the document with one of its values in the place of another of the same kind: each with each bad one."""
    for place in _places(document):
        value = _at(document, place)
        for bad in TEXTS if isinstance(value, str) else NUMBERS if type(value) in (int, float) else ():
            yield _changed(document, [(place, ("replace", "", bad))])


def _changes_of(value: object) -> SearchStrategy[Any]:
    alike = {str: texts, int: _whole, float: _broken}.get(type(value), values)
    other = st.tuples(st.sampled_from(("replace", "remove", "add", "twice")), texts, values)
    return st.tuples(st.just("replace"), texts, alike) | other


_whole = st.sampled_from([number for number in NUMBERS if isinstance(number, int)])
_broken = st.sampled_from(NUMBERS)


def _at(document: Any, place: tuple[Any, ...]) -> object:  # noqa: ANN401
    for step in place:
        document = document[step]
    return document


def written(document: object) -> bytes:
    """Return the document as JSON, or what comes near it."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    text = text.replace(f'{_AGAIN}"', '"').replace(f'"{_DEEP}"', "[" * _LEVELS + "]" * _LEVELS)
    return text.replace(f'"{_DIGITS}"', "9" * _LENGTH).encode("utf-8", "surrogatepass")


def _places(document: object, place: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    yield place
    if isinstance(document, dict):
        for key in document:
            yield from _places(document[key], (*place, key))
    elif isinstance(document, list):
        for index in range(min(len(document), 3)):
            yield from _places(document[index], (*place, index))


def _changed(document: Any, changes: list[tuple[tuple[object, ...], tuple[str, str, object]]]) -> object:  # noqa: ANN401
    root = [copy.deepcopy(document)]
    for place, (change, key, value) in changes:
        holder: Any = root
        last: Any = 0
        for step in place:
            try:
                holder, last = holder[last], step
                holder[last]
            except (KeyError, IndexError, TypeError):
                break
        else:
            _change(holder, last, change, key, value)
    return root[0]


def _change(holder: Any, last: Any, change: str, key: str, value: object) -> None:  # noqa: ANN401
    match change:
        case "remove" if isinstance(holder, dict):
            del holder[last]
        case "twice" if isinstance(holder, dict) and isinstance(last, str):
            holder[f"{last}{_AGAIN}"] = value
        case "add" if isinstance(holder[last], dict):
            holder[last][key] = value
        case "add" if isinstance(holder[last], list):
            holder[last].append(value)
        case _:
            holder[last] = value


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Return data cut short, with bits flipped, stretches swapped, zeroed, repeated or replaced by noise."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        begin = draw.randrange(len(changed) + 1)
        end = min(len(changed), begin + draw.choice((1, 4, 40, 4000)))
        match draw.randrange(7):
            case 0:
                del changed[begin:]
            case 1:
                for _ in range(draw.choice((1, 8, 100))):
                    if changed:
                        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            case 2:
                other = draw.randrange(len(changed) + 1)
                piece = changed[begin:end]
                del changed[begin:end]
                changed[other:other] = piece
            case 3:
                changed[begin:end] = bytes(end - begin)
            case 4:
                changed[begin:begin] = changed[begin:end]
            case 5:
                changed[begin:end] = draw.randbytes(end - begin)
            case _:
                changed[begin:end] = draw.choice(TEXTS).encode("utf-8", "surrogatepass")
    return bytes(changed)
