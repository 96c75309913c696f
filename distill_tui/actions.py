"""Every action of the dashboard and its keys, in one table: it feeds bindings, key line, help, palette and key files.

An action's name is the place it works in and what it does there: `training.stop` runs `action_stop` of the widget whose
`PLACE` is `training`. A key must not be one that tmux, screen, an editor's terminal or enter, tab and backspace take.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

PLACES = {
    "app": "Everywhere",
    "datasets": "Datasets",
    "corpora": "Known folders",
    "dataset": "A folder of recordings",
    "folders": "Tree of folders",
    "config": "Config",
    "form": "Fields",
    "training": "Training",
    "charts": "Charts",
    "log": "Log",
    "previews": "Previews",
    "runs": "Runs",
    "library": "Library",
    "sounds": "Sounds",
    "explore": "Explore",
    "sliders": "Sliders",
    "presets": "Presets",
    "vote": "Blind vote",
    "listing": "Lists",
}
"""The widgets that have actions, by their `PLACE`, and what a person calls them."""

WITHIN = {
    "corpora": "datasets",
    "dataset": "datasets",
    "form": "config",
    "charts": "training",
    "log": "training",
    "previews": "training",
    "runs": "training",
    "sounds": "library",
    "explore": "library",
    "sliders": "library",
}
"""In which screen a place lies: there the keys of both work, the inner place's first."""

HINTS = {
    "config": (
        "{} edits a field, {} and {} step through its values, {} starts the run",
        ("form.edit", "form.more", "form.less", "config.start"),
    ),
    "training": (
        "the arrows read values off all curves at once; {} stops a run and says what was saved, {} only leaves",
        ("training.stop", "app.leave"),
    ),
    "library": ("{} makes sounds of a model, {} trains on from it", ("library.generate", "library.train_on")),
    "explore": (
        "{} and {} move a slider, {} makes its sound, {} lets you compare two blindly",
        ("explore.less", "explore.more", "explore.make", "explore.compare"),
    ),
}
"""What is said once, when a person comes to a place for the first time, and the actions whose keys it names."""

ABOUT = {
    "datasets": "Folders of recordings. Add one, look at what is in it, and take it for the next run.",
    "config": "The settings of the next run. Edit them in place; the right side says what they will take.",
    "training": "A run as it goes. Leaving the dashboard never ends it; stop asks it to save and end.",
    "library": "The models you kept. Listen, explore, generate, rename, export, or train on from one.",
    "explore": "A model's sliders. The picture is the sound they make; make it, compare it, keep it as a preset.",
}
"""What a screen is for, in a sentence or two: the beginning of its help."""

TAKEN = frozenset(f"ctrl+{key}" for key in ("a", "b", "c", "h", "i", "j", "m", "q", "s", "z", "backslash"))
"""Keys that terminals, multiplexers and editors take, or that are enter, tab and backspace by another name."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something a person can do in one place."""

    name: str
    keys: tuple[str, ...]
    label: str
    """In a word or two, for the key line."""

    help: str
    """In a sentence, for help and palette."""

    in_key_line: bool = True

    @property
    def place(self) -> str:
        """The `PLACE` of the widget it works in."""
        return self.name.partition(".")[0]

    @property
    def method(self) -> str:
        """What the widget's method is called, behind `action_`."""
        return self.name.partition(".")[2]


def _action(name: str, keys: str, label: str, help: str, *, in_key_line: bool = True) -> Action:  # noqa: A002
    return Action(name=name, keys=tuple(keys.split()), label=label, help=help, in_key_line=in_key_line)


ACTIONS: tuple[Action, ...] = (
    # The form of the next run.
    _action("form.edit", "e", "edit", "Type a value; enter does the same. Enter accepts it, esc takes it back."),
    _action("form.more", "space right l", "next", "Go to the next sensible value of the field."),
    _action("form.less", "left h", "value before", "Go to the sensible value before.", in_key_line=False),
    _action("form.reset", "x", "reset", "Give the field the preset's value back."),
    _action("form.down", "j down", "down", "Go to the next field.", in_key_line=False),
    _action("form.up", "k up", "up", "Go to the field before.", in_key_line=False),
    _action("form.first", "g home", "first", "Go to the first field.", in_key_line=False),
    _action("form.last", "G end", "last", "Go to the last field.", in_key_line=False),
    _action("form.page_down", "pagedown", "page down", "Go down a page of fields.", in_key_line=False),
    _action("form.page_up", "pageup", "page up", "Go up a page of fields.", in_key_line=False),
    _action("form.drop", "escape", "let go", "Take back a refused value, or show all fields again.", in_key_line=False),
    _action("config.start", "s", "start", "Start the run as the form has it, in the background."),
    _action("config.search", "slash", "search", "Show only the fields in whose name or help some words occur."),
    _action("config.only_differing", "d", "differing", "Show only what differs from the preset, or all again."),
    _action("config.undo", "u", "undo", "Take the last change back: of a field, a preset, a dataset or a file."),
    _action("config.redo", "U", "redo", "Make the change again that was taken back.", in_key_line=False),
    _action("config.next_preset", "p", "preset", "Go to the next preset; what was edited stays."),
    _action("config.reset_all", "X", "all as preset", "Give every setting the preset's value back.", in_key_line=False),
    _action("config.load", "o", "open", "Open a file of settings."),
    _action("config.save", "w", "save", "Save the settings to their file, its comments kept."),
    _action("config.save_as", "W", "save as", "Save the settings to another file.", in_key_line=False),
    _action("config.copy", "c", "copy a run", "Take the settings of an earlier run."),
    _action("config.choose_model", "m", "model", "Choose a model to go on from.", in_key_line=False),
    _action("app.show_datasets", "1", "Datasets", "Go to the folders of recordings.", in_key_line=False),
    _action("app.show_config", "2", "Config", "Go to the settings of the next run.", in_key_line=False),
    _action("app.show_training", "3", "Training", "Go to the run.", in_key_line=False),
    _action("app.show_library", "4", "Library", "Go to the models.", in_key_line=False),
    _action("app.help", "question_mark", "help", "Say what this screen is for and which keys do what."),
    _action("app.command_palette", "ctrl+p", "palette", "Find any action by its name."),
    _action("app.choose_theme", "ctrl+t", "theme", "Choose other colours, and keep them.", in_key_line=False),
    _action("app.repaint", "ctrl+l", "repaint", "Draw the whole screen anew.", in_key_line=False),
    _action("app.leave", "q", "leave", "Leave the dashboard; a run goes on without it."),
    # Datasets: the known folders, one that is opened, and the tree one finds others in.
    _action("corpora.open", "l right", "open", "Look at what is in the folder; enter does the same."),
    _action("corpora.forget", "d", "forget", "Take the folder off the list; the folder itself stays as it is."),
    _action(
        "dataset.use",
        "u",
        "use it",
        "Train the next run on this folder, and go on to its settings; enter does the same.",
    ),
    _action("dataset.enlarge", "v", "larger", "Give the pictures most of the room, or the list again."),
    _action("dataset.copy", "x", "copies", "Show the file as it is, then each altered copy a run would make of it."),
    _action("dataset.problems", "p", "problems", "Show only files with a problem or a warning, or all again."),
    _action("dataset.rescan", "r", "look again", "Look at all files again.", in_key_line=False),
    _action("dataset.back", "escape", "back", "Go back to the known folders; stops looking."),
    _action("datasets.add", "a", "add", "Type the path of a folder of recordings."),
    _action("datasets.browse", "t", "tree", "Find a folder of recordings in the tree of folders."),
    _action("folders.enter", "l right", "go in", "Go into the folder."),
    _action("folders.leave", "h left", "go up", "Go to the folder above."),
    _action("folders.take", "t", "take it", "Take the folder under the cursor."),
    _action("folders.hidden", "full_stop", "hidden", "Show hidden folders too, or no longer."),
    # Library: the models, and the sounds that were made of one.
    _action("library.generate", "m", "make sounds", "Generate new sounds from the model."),
    _action("library.explore", "p", "explore", "Play with the model's sliders and see at once what they do."),
    _action("library.sounds", "s", "sounds", "Show the sounds that were made of the model."),
    _action("library.train_on", "t", "train on", "Let the next run go on from the model's weights."),
    _action("library.rename", "r", "rename", "Give the model another name."),
    _action("library.delete", "d", "delete", "Delete the model, after a question."),
    _action("library.export", "e", "export", "Copy the model to a file elsewhere."),
    _action("library.import_file", "i", "import", "Copy a .distill file into the library."),
    _action("library.settings", "a", "all settings", "Show every setting the model was trained with."),
    _action(
        "library.details", "v", "details", "Show what is known of the model, or the list alone; enter does the same."
    ),
    _action("library.cancel", "x", "cancel", "Stop making sounds; those that are finished stay.", in_key_line=False),
    _action("library.back", "escape", "back", "Go back to the models; stops generating from there.", in_key_line=False),
    _action("sounds.copy_play", "y", "copy: play", "Copy the line that plays the sound on your own machine."),
    _action("sounds.copy_fetch", "Y", "copy: fetch", "Copy the line that fetches the sound to your own machine."),
    _action("sounds.mark", "space", "mark", "Mark a sound, to add several at once.", in_key_line=False),
    _action(
        "sounds.add", "a", "add to folder", "Copy the marked sounds, or this one, into a known folder of recordings."
    ),
    # Exploring a model: its sliders, and what is done with what they stand at.
    _action("explore.more", "right l", "more", "Move the slider up by a step."),
    _action("explore.make", "m", "make", "Write the sound that these settings make to a file."),
    _action("explore.randomise", "r", "random", "Draw every axis that isn't locked as it is among the recordings."),
    _action(
        "explore.compare", "c", "compare", "Hear two sounds of equal level without knowing which is which, and vote."
    ),
    _action("explore.presets", "o", "presets", "Load a preset, or delete one."),
    _action("explore.keep", "w", "save", "Save the settings as a preset, under a name."),
    _action("explore.history", "b", "made", "Take back the settings of a sound that was made."),
    _action("explore.undo", "u", "undo", "Take the last change of the sliders back."),
    _action("explore.close", "escape", "back", "Stop making two sounds, take the copied line away, or go back."),
    _action("explore.less", "left h", "less", "Move the slider down by a step."),
    _action("explore.finely_more", "L shift+right", "finely", "Move the slider up by a small step."),
    _action("explore.finely_less", "H shift+left", "finely down", "Move it down by a small step.", in_key_line=False),
    _action("explore.lock", "space", "lock", "Keep chance from moving the axis, or no longer."),
    _action("explore.new_seed", "n", "seed", "Take another seed: another sound in the same vein."),
    _action("explore.copy_play", "y", "copy: play", "Copy the line that plays what was last made here."),
    _action("explore.copy_fetch", "Y", "copy: fetch", "Copy the line that fetches what was last made here."),
    _action("explore.reset", "0", "reset", "Put the slider back to where it was at first."),
    _action("explore.reset_all", "X", "reset all", "Put all sliders back to where they were at first."),
    _action("explore.redo", "U", "redo", "Make the change again that was taken back.", in_key_line=False),
    _action("explore.type", "e", "type", "Type a value; enter does the same.", in_key_line=False),
    _action("sliders.down", "j down", "down", "Go to the next slider.", in_key_line=False),
    _action("sliders.up", "k up", "up", "Go to the slider before.", in_key_line=False),
    _action("sliders.first", "g home", "first", "Go to the first slider.", in_key_line=False),
    _action("sliders.last", "G end", "last", "Go to the last slider.", in_key_line=False),
    _action("presets.delete", "x", "delete", "Delete the preset, after a question."),
    _action("vote.for_a", "a", "A is better", "Vote for the first sound."),
    _action("vote.for_b", "b", "B is better", "Vote for the second sound."),
    _action("vote.for_none", "n", "no difference", "Say that neither is better."),
    _action("vote.other", "left right", "the other", "Choose the other sound, to copy its line."),
    _action("vote.copy_play", "y", "play line", "Copy the line that plays the chosen sound on your own machine."),
    _action("vote.copy_fetch", "Y", "fetch line", "Copy the line that fetches the chosen sound to your own machine."),
    # The Training screen: its views and the orders to a run.
    _action("training.stop", "S", "stop", "End the run after the step under way, with checkpoint, preview and model."),
    _action("training.pause", "p", "pause", "Pause the run, or let it go on."),
    _action("training.resume", "R", "resume", "Go on with a run that is over."),
    _action("training.log", "l", "log", "Show what the worker wrote to its log."),
    _action("training.previews", "v", "previews", "Show and hear the previews."),
    _action("training.runs", "r", "runs", "Show all runs."),
    _action("training.charts", "c", "charts", "Show the charts and events.", in_key_line=False),
    _action("training.checkpoint", "w", "save", "Write a checkpoint after the step under way."),
    _action("training.preview", "h", "hear it", "Make a preview after the step under way."),
    _action("training.stop_now", "X", "stop now", "End the run with a checkpoint alone.", in_key_line=False),
    _action("training.back", "escape", "back", "Close what is open, or go back to the charts.", in_key_line=False),
    # Its charts, all of them at once.
    _action("charts.next", "right_square_bracket", "more", "Show the next charts."),
    _action("charts.previous", "left_square_bracket", "charts before", "Show the charts before.", in_key_line=False),
    _action("charts.maximise", "m", "one", "Show one chart, or as many as fit."),
    _action("charts.smooth", "s", "smooth", "Smooth the curves more; in the end not at all.", in_key_line=False),
    _action("charts.log_axis", "a", "log", "Show values by their logarithm, or as they are.", in_key_line=False),
    _action("charts.switch_axis", "t", "time", "Show curves against time, or against steps.", in_key_line=False),
    _action("charts.zoom_in", "plus equals_sign", "zoom in", "Show half as much of the run.", in_key_line=False),
    _action("charts.zoom_out", "minus", "zoom out", "Show twice as much of the run.", in_key_line=False),
    _action("charts.pan_left", "less_than_sign comma", "earlier", "Move the window back.", in_key_line=False),
    _action("charts.pan_right", "greater_than_sign full_stop", "later", "Move the window on.", in_key_line=False),
    _action("charts.reset", "0", "reset", "Show the whole run, without a cursor.", in_key_line=False),
    _action("charts.follow", "f", "follow", "Let the window follow the run, or hold it.", in_key_line=False),
    _action("charts.cursor_left", "left", "cursor left", "Move the cursor of all charts back.", in_key_line=False),
    _action("charts.cursor_right", "right", "cursor right", "Move the cursor of all charts on.", in_key_line=False),
    _action("charts.jump_left", "H shift+left", "jump left", "Move the cursor back by a tenth.", in_key_line=False),
    _action("charts.jump_right", "L shift+right", "jump right", "Move the cursor on by a tenth.", in_key_line=False),
    _action("charts.read", "e", "in words", "Say the next chart in a sentence.", in_key_line=False),
    # The worker's log.
    _action("log.search", "slash", "search", "Look for a text in the worker's log."),
    _action("log.next", "n", "next", "Go to the next line with the text that was looked for."),
    _action("log.previous", "N", "previous", "Go to the line before with the text that was looked for."),
    _action("log.down", "j down", "down", "Go down a line.", in_key_line=False),
    _action("log.up", "k up", "up", "Go up a line.", in_key_line=False),
    _action("log.first", "g home", "first", "Go to the log's beginning."),
    _action("log.last", "G end", "last", "Go to the log's end, and follow it."),
    _action("log.page_down", "pagedown space", "page down", "Go down a page.", in_key_line=False),
    _action("log.page_up", "pageup", "page up", "Go up a page.", in_key_line=False),
    _action("log.right", "right", "right", "Show what lies further right of long lines.", in_key_line=False),
    _action("log.left", "left", "left", "Go back to the left of long lines.", in_key_line=False),
    # Previews.
    _action("previews.next", "n right_square_bracket", "next", "Go to the next recording or sample of the preview."),
    _action("previews.copy_play", "y", "play line", "Copy the line that plays the sound on your own machine."),
    _action("previews.copy_fetch", "Y", "fetch line", "Copy the line that fetches the sound to your own machine."),
    _action("previews.side", "s left right", "side", "Choose the original or the reconstruction, to copy its line."),
    _action("previews.ask", "a", "ask for one", "Ask the run for a preview now."),
    _action(
        "previews.before", "b left_square_bracket", "before", "Go to the recording or sample before.", in_key_line=False
    ),
    # Runs.
    _action("runs.watch", "enter", "watch", "Watch this run and go to its charts."),
    _action("runs.mark", "space", "mark", "Mark a run to lay its curve over those of others, up to four."),
    _action("runs.differences", "d", "differences", "Show what differs between their settings, or the curves again."),
    _action("runs.axis", "t", "axis", "Lay the curves along epochs or along time."),
    _action("runs.use", "u", "use", "Take this run's settings for the next run and go to Config."),
    _action("runs.delete", "x", "delete", "Delete a run that is over; its model stays."),
    # Moving in lists of all kinds.
    _action("listing.down", "j down", "down", "Go down a line.", in_key_line=False),
    _action("listing.up", "k up", "up", "Go up a line.", in_key_line=False),
    _action("listing.first", "g home", "first", "Go to the first line.", in_key_line=False),
    _action("listing.last", "G end", "last", "Go to the last line.", in_key_line=False),
    _action("listing.page_down", "pagedown", "page down", "Go down a page.", in_key_line=False),
    _action("listing.page_up", "pageup", "page up", "Go up a page.", in_key_line=False),
    _action("listing.filter", "slash", "filter", "Show only the lines in which a text occurs."),
    _action("listing.sort", "o", "sort", "Sort by the next column.", in_key_line=False),
    _action("listing.reverse", "O", "reverse", "Sort the other way round.", in_key_line=False),
)


def actions_in(place: str) -> tuple[Action, ...]:
    """Return the actions of one place, in the order of the table."""
    return tuple(action for action in ACTIONS if action.place == place)


_BY_NAME = {action.name: action for action in ACTIONS}
_changed: dict[str, str] = {}


def change_keys(changed: Mapping[str, str]) -> None:
    """Let actions have the keys that a key file gives them, by name, joined by commas; all others have the table's."""
    _changed.clear()
    _changed.update(changed)


def keys_of(action: Action) -> tuple[str, ...]:
    """Return the keys of an action, as a key file may have changed them."""
    return _keys_in(_changed, action)


def key_of(name: str) -> str:
    """Return the first key of an action as a sentence names it: "R" for `training.resume`, "esc", "left"."""
    return spelt(keys_of(_BY_NAME[name])[0], ascii_only=True)


def hint(place: str) -> str:
    """Return what is said once of a place, empty for nothing."""
    words, names = HINTS.get(place, ("", ()))
    return words.format(*map(key_of, names))


def _keys_in(changed: Mapping[str, str], action: Action) -> tuple[str, ...]:
    return tuple(changed[action.name].split(",")) if action.name in changed else action.keys


def conflicts(changed: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each key that would mean two things where one is, and for each that is taken elsewhere.

    Of what a key file changed, all that works at the same time counts; in the table itself a place may take a key from
    the screen it lies in.
    """
    told: set[frozenset[str]] = set()
    for action, other in itertools.product(ACTIONS, ACTIONS):
        pair = frozenset((action.name, other.name))
        if len(pair) < 2 or pair in told or not _work_together(action, other, strictly=action.name in changed):
            continue
        if common := set(_keys_in(changed, action)) & set(_keys_in(changed, other)):
            told.add(pair)
            yield f"{spelt(min(common))} means both {min(pair)} and {max(pair)}"
    for name, keys in changed.items():
        yield from (f"{spelt(key)} for {name} is taken elsewhere" for key in keys.split(",") if key in TAKEN)


def _work_together(action: Action, other: Action, *, strictly: bool) -> bool:
    """Tell whether two actions work in one place; `strictly`, whether there is a place where both could be meant."""
    places = {action.place, other.place}
    if len(places) == 1 or "app" in places:
        return True
    return strictly and ("listing" in places or WITHIN.get(action.place) in places or WITHIN.get(other.place) in places)


_SPELT = {
    "question_mark": "?",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "full_stop": ".",
    "comma": ",",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
}
_PLAIN = {"←": "left", "→": "right", "↑": "up", "↓": "down"}


_NAMED = {word: name for name, word in _SPELT.items() if len(word) == 1 and word not in _PLAIN}


def named(key: str) -> str:
    """Return what Textual calls a key that is written as a person does: question_mark for `?`."""
    return _NAMED.get(key, key)


def spelt(key: str, *, ascii_only: bool = False) -> str:
    """Return a key as a person reads it: `?` for question_mark."""
    word = _SPELT.get(key, key)
    return _PLAIN.get(word, word) if ascii_only else word


def key_words(actions: Sequence[Action], *, ascii_only: bool) -> list[tuple[str, str]]:
    """Return each action's first key and its label, those without a key left out."""
    return [(spelt(keys[0], ascii_only=ascii_only), action.label) for action in actions if (keys := keys_of(action))]
