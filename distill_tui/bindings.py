"""The table of actions as Textual takes it: what each widget has for its `BINDINGS`."""

from __future__ import annotations

from textual.binding import Binding

from distill_tui.actions import actions_in


def bindings(place: str) -> list[Binding]:
    """Return what Textual needs to run a place's actions; their ids are their names, by which key files change keys."""
    return [
        Binding(",".join(action.keys), action.method, action.help, show=False, id=action.name)
        for action in actions_in(place)
        if action.keys
    ]
