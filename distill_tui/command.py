"""The command line of `distill-tui`: a mistake in it is told before anything is drawn."""

from __future__ import annotations

import argparse
import gc
import os
import sys

from distill_engine import api


def main() -> None:
    """Read the options and run the dashboard; ends the process."""
    # A sixth of the time to the first screen goes into collecting garbage that isn't there yet; the app begins with it
    # once that screen is drawn.
    gc.disable()
    options = _parser().parse_args()
    try:
        sys.exit(_visited(options))
    except api.DistillError as error:
        _say(error.message, error.hint)
        sys.exit(error.exit_status)


def _visited(options: argparse.Namespace) -> int:
    """Run the dashboard, and return the exit status.

    Raises:
        NotFoundError: there is no run of the name to watch.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        _say("distill-tui needs a terminal", "distill-engine does the same without one")
        return 2
    if options.demo:
        from distill_tui.demo import demo  # noqa: PLC0415

        with demo() as run:
            return _shown(options, run)
    return _shown(options, str(api.find(options.run).path) if options.run else "")


def _shown(options: argparse.Namespace, run: str) -> int:
    from distill_tui.app import DistillApp, is_utf8  # noqa: PLC0415 - `--help` needs no Textual
    from distill_tui.link import say_at_the_end  # noqa: PLC0415

    # numpy reads them when it is loaded. Huge pages cost a long history 13 MiB and pauses of 66 ms; a chart has no use
    # for threads of linear algebra, which reserve memory each.
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    ascii_only = options.ascii or not is_utf8()
    app = DistillApp(run=run, ascii_only=ascii_only, eco=options.eco, theme=options.theme, demo=options.demo)
    app.run(mouse=not options.no_mouse)
    say_at_the_end(app.farewell)
    return app.return_code or 0


def _say(message: str, hint: str) -> None:
    print(*filter(None, (message, hint)), sep="\n", file=sys.stderr)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distill-tui",
        description="The dashboard of Distill: pick recordings, edit a configuration, train, watch, keep the model.",
        epilog="Leaving the dashboard never ends a run. Keys are shown on the last line; ? says more.",
        allow_abbrev=False,
    )
    parser.add_argument("--run", metavar="RUN", default="", help="watch this run: a name, an id or a path")
    parser.add_argument("--demo", action="store_true", help="look at a recorded run: nothing is trained or kept")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters alone")
    parser.add_argument("--eco", action="store_true", help="draw live data once a second at most, for slow links")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.add_argument("--theme", metavar="NAME", default="", help="the colours to wear this time")
    return parser
