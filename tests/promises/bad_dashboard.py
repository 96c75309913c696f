"""The dashboard in a home full of strangers' files: it opens, shows all of them, and shows nothing that steers."""

from __future__ import annotations

import asyncio
import json
import random
import shutil

from textual.pilot import Pilot

from distill_engine import home
from distill_tui.actions import change_keys
from distill_tui.app import DistillApp
from distill_tui.themes import load_themes
from tests.promises.bad_settings import KEYS, MODEL
from tests.promises.hostile import NUMBERS, TEXTS, written
from tests.promises.strangers import good_events, good_model, good_run, header_of, with_header
from tests.promises.trial import Size
from tests.promises.watching import check_plain, watched
from tests.tui.visits import until

PANES = ("1", "2", "3", "4")
VIEWS = ("e", "p", "l", "c", "v", "escape", "down", "enter", "escape", "question_mark", "escape")


def bad_visits(size: Size) -> int:
    """Visit the dashboard, each time in another home; return how often."""
    draw = random.Random(size.seed)
    visits = size.of(1, 8)
    for _ in range(visits):
        shutil.rmtree(home.state_folder(), ignore_errors=True)
        shutil.rmtree(home.data_folder(), ignore_errors=True)
        shutil.rmtree(home.config_folder(), ignore_errors=True)
        _fill(draw)
        asyncio.run(_visit(VIEWS if size.whole else ()))
        change_keys({})
    return visits


def _fill(draw: random.Random) -> None:
    """Put a bad one of each kind into the home, each of which can be read."""
    run = good_run("stranger")
    events = [_spoilt(draw, event) for event in good_events()]
    run.events_file.write_bytes(b"".join(written(event) + b"\n" for event in events))
    info = json.loads(run.run_file.read_bytes())
    run.run_file.write_bytes(written({**info, "dataset": draw.choice(TEXTS), "start_from": draw.choice(TEXTS)}))
    models = home.models_folder()
    good = good_model(models / "good.distill")
    header = header_of(good)
    described = json.loads(header["__metadata__"]["distill"])
    training = _spoilt(draw, described["training"])
    text = written({**described, "name": draw.choice(TEXTS), "training": training}).decode("utf-8", "surrogatepass")
    (models / "a\x1b[2Jb\u202e.distill").write_bytes(
        with_header(good, written({**header, "__metadata__": {"distill": text}}))
    )
    (models / "broken\n.distill").write_bytes(good[:1000])
    themes = home.config_folder() / "themes"
    themes.mkdir(parents=True)
    (themes / "bad\x1b.toml").write_text("primary = '\x1b'")
    (home.config_folder() / "keys.toml").write_text(KEYS + '"\\u001b[2J" = "x"\n')
    preset = {"name": draw.choice(TEXTS), "sliders": {draw.choice(TEXTS): 1.0}, "seed": 3, "evolution": 0.5}
    presets = home.data_folder() / "presets" / f"{MODEL}.json"
    presets.parent.mkdir(parents=True)
    presets.write_bytes(written([preset]))
    memory = {
        "corpora": [{"path": draw.choice(TEXTS), "used": 1.0}],
        "draft": {"name": draw.choice(TEXTS), "preset": draw.choice(TEXTS), "edits": {"seed": draw.choice(TEXTS)}},
        "last_run": str(run.path),
        "themes": {"many": draw.choice(TEXTS)},
        "training_view": draw.choice(TEXTS),
        "exploring": {MODEL: {"sliders": {"brightness": draw.choice(NUMBERS[:8])}, "seed": -1, "seconds": -1.0}},
    }
    (home.state_folder() / "dashboard.json").write_bytes(written(memory))


def _spoilt(draw: random.Random, document: dict[str, object]) -> dict[str, object]:
    """Return the document with one text or number in it another, if that leaves it what it is."""
    places = [key for key, value in document.items() if isinstance(value, str) and key not in ("type",)]
    places += [key for key, value in document.items() if isinstance(value, float) and key != "time"]
    if not places:
        return document
    key = draw.choice(places)
    bad = draw.choice(TEXTS) if isinstance(document[key], str) else draw.choice((1e300, -1e30, 5e-324, 0.0, -1.0))
    return {**document, key: bad}


async def _visit(keys: tuple[str, ...]) -> None:
    app = DistillApp()
    with watched(home.state_folder(), home.config_folder(), home.data_folder(), home.cache_folder()):
        async with app.run_test(size=(120, 36)) as pilot:
            await until(pilot, lambda: app.form is not None and app.run_view is not None and not app.run_view.filling)
            for theme in load_themes([home.config_folder() / "themes"])[0]:
                app.theme = theme.name
            for pane in PANES:
                await pilot.press(pane)
                await _look(app, pilot)
                for key in keys:
                    await pilot.press(key)
                    await _look(app, pilot)
            if keys:
                await pilot.press("ctrl+p")
                await _look(app, pilot)
    assert app.return_code in (None, 0), "the dashboard has failed"


async def _look(app: DistillApp, pilot: Pilot[None]) -> None:
    await pilot.pause()
    for strip in app.screen._compositor.render_strips():
        check_plain(strip.text, f"the dashboard's {app.pane}, {strip.text.strip()!r},")
