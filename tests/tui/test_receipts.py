"""The receipt of an order: asked, heard, done; a countdown; and what comes next where no answer does."""

from __future__ import annotations

from distill_engine.errors import DistillError
from distill_engine.events import CommandAnswered
from distill_tui.format import moment
from distill_tui.runs import receipts
from distill_tui.runs.receipts import Receipt

NOW = 1_750_000_000.0


def told(receipt: Receipt, now: float, width: int = 78) -> list[str]:
    return ["".join(text for text, _ in line) for line in receipts.lines(receipt, now, width)]


def answer(kind: str, words: str, path: str = "") -> CommandAnswered:
    assert kind in ("done", "refused")
    return CommandAnswered(
        seq=9,
        time=NOW + 3.1,
        id="a",
        command="stop",
        answer="done" if kind == "done" else "refused",
        words=words,
        path=path,
    )


def test_a_receipt_counts_down_until_the_answer_comes() -> None:
    asked = receipts.asked("bells", "stop", NOW, holder=4711)
    assert told(asked, NOW + 8) == [
        f"stop bells  asked {moment(NOW)}",
        "answer within 60 s, 52 left; if none comes, kill 4711 asks it to save and end",
    ]
    heard = receipts.heard(asked, NOW + 1)
    assert told(heard, NOW + 8)[0] == f"stop bells  asked {moment(NOW)} → heard {moment(NOW + 1)} → saving …"


def test_a_receipt_ends_with_the_time_it_took_the_words_and_the_path() -> None:
    heard = receipts.heard(receipts.asked("bells", "checkpoint", NOW, holder=4711), NOW + 1)
    done = receipts.answered(heard, answer("done", "saved at step 8", "checkpoints/step-8.safetensors"))
    assert not done.waits
    assert told(done, NOW + 100) == [
        f"checkpoint bells  asked {moment(NOW)} → heard {moment(NOW + 1)} → done {moment(NOW + 3.1)}, in 3.1 s",
        "saved at step 8: checkpoints/step-8.safetensors",
    ]


def test_a_path_that_the_words_name_already_is_not_said_twice() -> None:
    done = receipts.answered(receipts.asked("bells", "stop", NOW, holder=4711), answer("done", "saved a/b", "a/b"))
    assert told(done, NOW)[1:] == ["saved a/b"]


def test_a_refusal_says_so() -> None:
    refused = receipts.answered(
        receipts.asked("bells", "preview", NOW, holder=None), answer("refused", "nothing is learnt yet")
    )
    assert "→ refused " in told(refused, NOW)[0]
    assert told(refused, NOW)[1] == "nothing is learnt yet"


def test_without_an_answer_the_receipt_says_what_comes_next() -> None:
    asked = receipts.asked("bells", "stop", NOW, holder=4711)
    late = receipts.failed(
        asked, DistillError("after 60 s run bells has not heard stop yet", "kill 7 asks it"), NOW + 60
    )
    assert late.outcome == "late"
    assert "→ no answer " in told(late, NOW + 61)[0]
    assert told(late, NOW + 61)[1:] == ["after 60 s run bells has not heard stop yet", "kill 7 asks it"]


def test_a_receipt_has_three_lines_at_most_and_escapes_what_others_wrote() -> None:
    done = receipts.answered(
        receipts.asked("b\x1bc", "stop", NOW, holder=-1), answer("done", "\x1b[2J " + "long " * 100)
    )
    lines = told(done, NOW, 60)
    assert len(lines) == 3
    assert "\x1b" not in "".join(lines)
    assert lines[-1].endswith("…")
