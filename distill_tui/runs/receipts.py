"""The receipt of an order to a run: asked, heard, what it does, done or refused, and what to do when no answer comes.

Pure. A receipt is replaced, never changed, as more is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from distill_engine import api
from distill_tui.format import Words, moment
from distill_tui.runs.run_summary import in_rows

Outcome = Literal["", "done", "refused", "late", "failed"]

DEADLINE_SECONDS = 60.0
"""How long an answer is waited for."""

BEGIN_SECONDS = 180.0
"""How long a worker may take to begin: loading torch from a slow disk takes most of it."""

MOST_ROWS = 3

_DOING = {
    "stop": "saving",
    "stop-now": "saving",
    "checkpoint": "saving",
    "preview": "making it",
    "pause": "finishing the step",
    "unpause": "going on",
    "resume": "the worker loads torch",
}
"""What a run does between hearing an order and answering it."""

_TONES = {"done": "good", "refused": "warn", "late": "warn", "failed": "bad"}


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """An order and what came of it so far. Times are in seconds since the epoch, 0 until then."""

    run: str
    order: str
    asked: float
    deadline: float
    otherwise: str
    """What to do where no answer comes in time."""

    heard: float = 0.0
    answered: float = 0.0
    outcome: Outcome = ""
    words: str = ""
    """The answer's words, or what went wrong."""

    path: str = ""
    hint: str = ""

    @property
    def waits(self) -> bool:
        """Whether an answer is still to come."""
        return not self.outcome


def asked(run: str, order: str, now: float, *, holder: int | None) -> Receipt:
    """Return the receipt of an order given now to the run that process `holder` trains; 0 or less is unknown."""
    otherwise = f"kill {holder} asks it to save and end" if holder and holder > 0 else "this says what to do"
    return Receipt(run=run, order=order, asked=now, deadline=now + DEADLINE_SECONDS, otherwise=otherwise)


def resuming(run: str, now: float) -> Receipt:
    """Return the receipt of a run that is asked to go on now."""
    return Receipt(run=run, order="resume", asked=now, deadline=now + BEGIN_SECONDS, otherwise="its log may tell why")


def heard(receipt: Receipt, when: float) -> Receipt:
    """Return it once the run has read the order."""
    return replace(receipt, heard=when)


def answered(receipt: Receipt, answer: api.CommandAnswered) -> Receipt:
    """Return it with the run's answer."""
    outcome: Outcome = "refused" if answer.answer == "refused" else "done"
    return replace(receipt, outcome=outcome, answered=answer.time, words=answer.words, path=answer.path, hint="")


def done(receipt: Receipt, now: float, words: str) -> Receipt:
    """Return it carried out, in our own words."""
    return replace(receipt, outcome="done", answered=now, words=words)


def refused(receipt: Receipt, now: float, words: str, hint: str) -> Receipt:
    """Return it refused by ourselves, with what is possible instead."""
    return replace(receipt, outcome="refused", answered=now, words=words, hint=hint)


def failed(receipt: Receipt, error: api.DistillError, now: float) -> Receipt:
    """Return it without an answer, with what to do next."""
    outcome: Outcome = "late" if now >= receipt.deadline else "failed"
    return replace(receipt, outcome=outcome, answered=now, words=error.message, hint=error.hint)


def lines(receipt: Receipt, now: float, width: int) -> list[Words]:
    """Return the receipt in two or three lines."""
    return [_stages(receipt), *_below(receipt, now, width)][:MOST_ROWS]


def _stages(receipt: Receipt) -> Words:
    line: Words = [
        (f"{receipt.order} {api.shown(receipt.run)}", "strong"),
        ("  asked ", "dim"),
        (moment(receipt.asked), ""),
    ]
    if receipt.heard:
        line += [(" → heard ", "dim"), (moment(receipt.heard), "")]
    if receipt.waits and (receipt.heard or receipt.order == "resume"):
        line += [(f" → {_DOING[receipt.order]} …", "accent")]
    if not receipt.waits:
        took = f", in {api.duration(max(0.0, receipt.answered - receipt.asked))}"
        unanswered = receipt.outcome == "late" or (receipt.outcome == "failed" and receipt.order != "resume")
        told = "no answer" if unanswered else receipt.outcome
        line += [(" → ", "dim"), (told, _TONES[receipt.outcome]), (f" {moment(receipt.answered)}{took}", "")]
    return line


def _below(receipt: Receipt, now: float, width: int) -> list[Words]:
    if receipt.waits:
        left, within = max(0.0, receipt.deadline - now), receipt.deadline - receipt.asked
        told = f"answer within {within:.0f} s, {left:.0f} left; if none comes, {receipt.otherwise}"
        return [[(line, "dim")] for line in in_rows([told], width, MOST_ROWS - 1)]
    texts = [api.shown(receipt.words), api.shown(receipt.hint)]
    if receipt.path and receipt.path not in receipt.words:
        texts[0] = f"{texts[0]}: {api.shown(receipt.path)}"
    return [[(text, "")] for text in in_rows([text for text in texts if text], width, MOST_ROWS - 1)]
