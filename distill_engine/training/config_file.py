"""Settings as text: strict TOML files, and `KEY=VALUE` from a command line.

Both end in `config.replaced`, so a key and a value meet the same checks wherever they come from. A file that exists is
rewritten in place, its comments and order kept; a fresh one explains every setting. What was written is read back
before it replaces anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_engine import atomic
from distill_engine.errors import ConfigError
from distill_engine.small_files import UNREADABLE, read_small
from distill_engine.training.config import (
    KIND_WORDS,
    Declaration,
    TrainingConfig,
    Value,
    checked_value,
    declaration,
    declarations,
    get,
    replaced,
)
from distill_engine.words import shown

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_INTRODUCTION = """\
# Settings of a Distill training run. A line may be changed or removed; what is removed takes its usual value.
"""


@dataclass(frozen=True, kw_only=True)
class SettingsFile:
    """A file of settings as it was when it was read."""

    path: Path
    text: str
    """What stood in it: another text there later means that somebody changed it."""

    values: Mapping[str, Value]
    """The settings it names, dotted key to value; the others take what they are laid over."""


def load_config(path: Path, base: TrainingConfig) -> TrainingConfig:
    """Return `base` with the settings of the TOML file `path` laid over it.

    Raises ConfigError, which names the file and where it can the line or the dotted key, for a file that can't be read,
    isn't UTF-8 or isn't TOML, an unknown key, a wrong type and a value out of range.
    """
    return _parsed(_read(path), path, base)


def read_settings(path: Path) -> SettingsFile:
    """Return the file and the settings it names, each allowed by itself.

    Raises ConfigError as `load_config` does, but not where settings contradict each other: that depends on the rest.
    """
    text = _read(path)
    with _told_of(path, text):
        values = {key: checked_value(key, value) for key, value in leaves(tomllib.loads(text))}
    return SettingsFile(path=path, text=text, values=values)


def is_as_read(file: SettingsFile) -> bool:
    """Tell whether what stands in the file now is what was read."""
    try:
        return _read(file.path) == file.text
    except ConfigError:
        return False


def apply_settings(config: TrainingConfig, settings: Iterable[str]) -> TrainingConfig:
    """Return `config` with settings of the form "loss.kl.weight=0.001" laid over it, checked together.

    Texts stand without quotes, and of two settings of one key the last counts. Raises ConfigError.
    """
    values: dict[str, Value] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {shown(setting)} names no value", "write --set KEY=VALUE, such as --set seed=1")
        entry = declaration(key.strip())
        values[entry.key] = parse_value(entry, text)
    return replaced(config, values)


def parse_value(entry: Declaration, text: str) -> Value:
    """Return `text`, as a person types it in a flag or a form, as a value of the type of `entry`.

    Raises ConfigError where it can't be read as that type; whether the value is allowed is for `replaced` to tell.
    """
    bare = text.strip()
    try:
        if entry.kind is bool:
            return {"true": True, "false": False}[bare.lower()]
        if entry.kind is str:
            return bare[1:-1] if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" else bare
        return entry.kind(bare)
    except (KeyError, ValueError):
        message = f"{entry.key} must be {KIND_WORDS[entry.kind]}, not '{shown(bare[:60])}'"
        raise ConfigError(message, _explained(entry), entry.key) from None


def save_config(path: Path, config: TrainingConfig) -> None:
    """Write all settings to the TOML file `path`, whole or not at all, so that `load_config` gives `config` again.

    A file that exists keeps its comments, its order and the spelling of values that are the same; settings it doesn't
    name are added. Raises ConfigError where it holds what `load_config` would refuse, and OSError where it can't be
    written. A link stays a link: the file it leads to is written.
    """
    text = _updated(_read(path), path, config) if path.exists() else fresh_text(config)
    atomic.write_text(Path(os.path.realpath(path)), text)  # which, unlike resolve, takes a link to itself for a file


def fresh_text(config: TrainingConfig) -> str:
    """Return the text of a file with all settings, each explained."""
    lines, group = [_INTRODUCTION], ""
    for entry in declarations().values():
        if entry.group != group:
            group = entry.group
            lines.append(f"[{group}]")
        lines.append(f"# {_explained(entry)}\n{entry.name} = {_toml(get(config, entry.key))}\n")
    return "\n".join(lines)


def _explained(entry: Declaration) -> str:
    return f"{entry.limits.help} Allowed: {entry.limits.words}."


def _toml(value: Value) -> str:
    """Return `value` in TOML: JSON's texts and booleans are TOML's too, and Python's numbers are exact in both."""
    return json.dumps(value, ensure_ascii=False)


def _read(path: Path) -> str:
    try:
        return read_small(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {shown(str(path))}") from None
    except IsADirectoryError:
        raise ConfigError(f"{shown(str(path))} is a folder, not a configuration file") from None
    except OSError as error:
        raise ConfigError(f"{shown(str(path))} can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        message = f"{shown(str(path))} isn't text in UTF-8: byte {error.start} can't be one"
        raise ConfigError(message, "save it as UTF-8 in an editor") from None


def _parsed(text: str, path: Path, base: TrainingConfig) -> TrainingConfig:
    with _told_of(path, text):
        return replaced(base, dict(leaves(tomllib.loads(text))))


@contextlib.contextmanager
def _told_of(path: Path, text: str) -> Iterator[None]:
    """Let what is wrong with a file's text be told with the file's name, and where it can with the line."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{shown(path.name)}: {error.message}", error.hint, error.key) from None
    except UNREADABLE as error:  # also whole numbers of thousands of digits
        raise _syntax_error(str(error), text, path) from None


def leaves(table: Mapping[str, object], group: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted key of everything in `table` that isn't a group of settings, and its value.

    An empty table counts as a group only if there is one of that name: a misspelt heading must not pass in silence.
    """
    for name, value in table.items():
        key = f"{group}.{name}" if group else name
        if "." in name:
            raise ConfigError(f'"{name}" is quoted as one name', f"write {name} without quotes", key)
        if isinstance(value, dict) and (value or _is_group(key)) and key not in declarations():
            yield from leaves(value, key)
        else:
            yield key, value


def _is_group(key: str) -> bool:
    return any(name.startswith(f"{key}.") for name in declarations())


def _syntax_error(reason: str, text: str, path: Path) -> ConfigError:
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", reason)
    if found is None:  # Python's own limits, told in words that a file's author can act on
        return ConfigError(f"{shown(path.name)} holds a number that is too long, or too many brackets in each other")
    line = found[1] or str(len(text.splitlines()))
    message = f"{shown(path.name)}, line {line}, can't be understood: {shown(reason[: found.start()]).lower()}"
    return ConfigError(message, "a line reads KEY = VALUE; texts stand in quotes")


def _updated(text: str, path: Path, config: TrainingConfig) -> str:
    """Return `text` with the values of `config`: others are replaced where they stand, missing ones added."""
    _parsed(text, path, config)
    written = _with_missing(_with_values(text, config), config)
    try:
        if _parsed(written, path, TrainingConfig()) == config:
            return written
    except ConfigError:  # a form of TOML that settings can't be added to without redefining a table
        pass
    raise ConfigError(
        f"{shown(str(path))} can't be rewritten with its comments kept",
        "write its settings below plain headings such as [loss.kl], one a line, or save to another file",
    )


def _with_values(text: str, config: TrainingConfig) -> str:
    """Return `text` with the settings it names, and all of the inline tables it has, as in `config`."""
    import tomlkit  # noqa: PLC0415 - 30 ms that only rewriting a file needs

    named = dict(leaves(tomllib.loads(text)))
    document = tomlkit.parse(text)
    for entry in declarations().values():
        value = get(config, entry.key)
        if entry.key not in named or named[entry.key] != value:
            _put(document, entry, value)
    return tomlkit.dumps(document)


def _put(document: TOMLDocument, entry: Declaration, value: Value) -> None:
    """Replace a setting the document names; add one only to an inline table, which text can't be inserted into."""
    from tomlkit import inline_table  # noqa: PLC0415
    from tomlkit.items import InlineTable  # noqa: PLC0415

    table: Any = document
    for name in filter(None, entry.group.split(".")):
        if name not in table:
            if not isinstance(table, InlineTable):
                return
            table[name] = inline_table()
        table = table[name]
    if entry.name in table or isinstance(table, InlineTable):
        table[entry.name] = value


def _with_missing(text: str, config: TrainingConfig) -> str:
    """Return `text` with the settings it doesn't name, explained, each where its group is written already.

    This is done on text: where both a top key and a table below a dotted one are new, tomlkit (seen with 0.15) can
    leave the top key under that table's heading, where it is another key.
    """
    line_end = "\r\n" if "\r\n" in text else "\n"
    named = dict(leaves(tomllib.loads(text)))
    by_group: dict[str, list[Declaration]] = {}
    for entry in declarations().values():
        if entry.key not in named:
            by_group.setdefault(entry.group, []).append(entry)
    for group, entries in by_group.items():
        dotted = any(key.startswith(f"{group}.") for key in named)
        offset, before, prefix = _place(text, group, dotted)
        lines = [f"# {_explained(entry)}\n{prefix}{entry.name} = {_toml(get(config, entry.key))}" for entry in entries]
        block = "\n".join((before + lines[0], *lines[1:], "")).replace("\n", line_end)
        if not group and offset < len(text):
            block += line_end
        text = text[:offset] + block + text[offset:]
    return text


def _place(text: str, group: str, dotted: bool) -> tuple[int, str, str]:
    """Return where in `text` to add settings of `group`, what to write before them, and before each name.

    Below the group's own heading; else, where the text names the group in `dotted` keys, as such keys below the nearest
    heading around it; else below a new heading at the end.
    """
    outer = group
    while outer:
        name = r"[ \t]*\.[ \t]*".join(f"[\"']?{part}[\"']?" for part in outer.split("."))
        heading = re.search(rf"^[ \t]*\[[ \t]*{name}[ \t]*\][^\n]*(\n|\Z)", text, re.MULTILINE)
        if heading:
            return heading.end(), "" if heading[1] else "\n", group[len(outer) + 1 :] + "." if outer != group else ""
        if not dotted:
            return len(text), f"{_gap(text)}[{group}]\n", ""
        outer = outer.rpartition(".")[0]
    offset = _end_of_top(text)
    return offset, "\n" if offset and text[offset - 1] != "\n" else "", f"{group}." if group else ""


def _gap(text: str) -> str:
    if not text:
        return ""
    return "\n" if text.endswith("\n") else "\n\n"


def _end_of_top(text: str) -> int:
    """Return the offset where the top's settings end: at the first heading, or at the comment right above it."""
    heading = re.search(r"(^[ \t]*#[^\n]*\n)*^[ \t]*\[", text, re.MULTILINE)
    return heading.start() if heading else len(text)
