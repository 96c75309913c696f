"""`distill-engine`: the engine's command line. Data goes to stdout, words to stderr.

The commands stand in `distill_engine.commands`, and what needs torch is imported inside those that need it: help and
lists answer at once. `main` is one of the two places that catch everything: a person reads a sentence and a hint,
never a traceback.
"""

from __future__ import annotations

import io
import os
import sys

import click

from distill_engine.commands import analysis, machine, models, runs, sound, training
from distill_engine.commands.shared import say
from distill_engine.errors import DistillError, StopRequestedError
from distill_engine.hushed import hush_libraries, lead_nowhere
from distill_engine.torch_environment import prepare_for_torch
from distill_engine.words import sentence, shown


class _InOrder(click.Group):
    """Lists commands in the order in which one comes to need them, not by the alphabet."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="distill", prog_name="distill-engine")
def cli() -> None:
    """Train a small generative model on your own recordings, and use its sound."""


for _command in (
    machine.demo,
    training.scan,
    training.preprocess,
    training.train,
    training.resume,
    runs.runs,
    runs.show,
    runs.follow,
    runs.stop,
    runs.pause,
    runs.checkpoint,
    runs.delete,
    models.models,
    models.model,
    sound.generate,
    sound.roundtrip,
    analysis.analyze,
    machine.cache,
    machine.bench,
    machine.doctor,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; end with the exit status that fits."""
    prepare_for_torch(os.environ)
    hush_libraries()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a model's name may hold what a terminal can't show
    try:
        cli.main(prog_name="distill-engine", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _complain(*_usage(error))
        sys.exit(error.exit_code)
    except DistillError as error:
        _complain(error.message, error.hint)
        sys.exit(error.exit_status)
    except (KeyboardInterrupt, StopRequestedError, click.exceptions.Abort):
        _complain("stopped", "")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a list went away: nothing is wrong, and nothing can be said to it.
        lead_nowhere(sys.stdout)
        sys.exit(1)
    except OSError as error:
        _complain(f"{shown(str(error.filename or 'a file'))}: {(error.strerror or str(error)).lower()}", "")
        sys.exit(1)
    except Exception as error:  # no traceback reaches a user
        _complain(f"something broke inside Distill: {type(error).__name__}: {error}", _kept_traceback())
        sys.exit(1)


def _complain(message: str, hint: str) -> None:
    say("\n".join([f"distill-engine: {sentence(message)}", *(f"  {sentence(line)}" for line in hint.splitlines())]))


def _usage(error: click.ClickException) -> tuple[str, str]:
    """Return click's complaint in the form of our own: a sentence and a hint."""
    message, _, more = error.format_message().rstrip(".").partition(". ")
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = more or f"see {context.command_path if context else 'distill-engine'} --help"
    return message[:1].lower() + message[1:], hint[:1].lower() + hint[1:]


def _kept_traceback() -> str:
    import traceback

    from distill_engine import home

    path = home.state_folder() / "distill-engine.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(traceback.format_exc())
    except OSError:
        return "please report it"
    return f"please report it; details are in {path}"


if __name__ == "__main__":
    main()
