"""The helper process of a front end: it answers what needs torch, one request after another, while the front end lives.

It ends when its input does, which happens however the front end dies, even in the middle of an answer. Its output holds
messages and nothing else: whatever a library prints goes to its log. Whatever breaks is a refusal, and the next request
finds it alive. torch is loaded at the first request, after a word that it will be.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from typing import BinaryIO

import msgspec

from distill_engine.errors import DistillError, StopRequestedError
from distill_engine.service_messages import (
    AnyAnswer,
    AnyRequest,
    Cancel,
    Cancelled,
    Message,
    Progress,
    Refused,
    decode_request,
    encode,
)
from distill_engine.torch_environment import prepare_for_torch
from distill_engine.words import shown

NICENESS = 5
"""Training on the same machine goes before."""

MOST_THREADS = 4

GRACE_SECONDS = 1.0
"""How long what is under way may take to end by itself once the front end is gone."""

_log = logging.getLogger(__name__)


class _Helper:
    """Requests wait in a queue, each with its event that says it was given up; a thread of its own fills it."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests = requests
        self._answers = answers
        self._queue: queue.SimpleQueue[AnyRequest | None] = queue.SimpleQueue()
        self._given_up: dict[int, threading.Event] = {}

    def work(self) -> None:
        """Answer until the front end is gone."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        while (request := self._queue.get()) is not None:
            answer = self._answer(request, self._given_up[request.id])
            del self._given_up[request.id]
            self._send(request, answer)

    def _answer(self, request: AnyRequest, given_up: threading.Event) -> AnyAnswer:
        """Return the one answer of a request, whatever happens."""
        try:
            if given_up.is_set():
                raise StopRequestedError
            if "torch" not in sys.modules:
                self._send(request, Progress(words="loading torch"))
            from distill_engine.service_work import answer  # noqa: PLC0415 - this loads torch

            return answer(request, lambda progress: self._send(request, progress), given_up.is_set)
        except StopRequestedError:
            return Cancelled()
        except DistillError as error:
            return Refused(message=error.message, hint=error.hint)
        except Exception as error:  # the front end waits for an answer, whatever it is
            _log.exception("a request couldn't be met")
            return _refused(error)

    def _send(self, request: AnyRequest, message: Message) -> None:
        self._answers.write(encode(msgspec.structs.replace(message, id=request.id)))
        self._answers.flush()

    def _listen(self) -> None:
        try:
            for line in self._requests:
                self._take(decode_request(line))
        except Exception:  # half a line is what a front end may leave that was killed
            _log.exception("the front end can't be understood")
        self._end()

    def _take(self, message: AnyRequest | Cancel) -> None:
        if not isinstance(message, Cancel):
            self._given_up[message.id] = threading.Event()
            self._queue.put(message)
        elif given_up := self._given_up.get(message.id):
            given_up.set()

    def _end(self) -> None:
        for given_up in list(self._given_up.values()):
            given_up.set()
        self._queue.put(None)
        time.sleep(GRACE_SECONDS)
        os._exit(0)  # amid a long sound, or while torch is loaded, nothing else would be quick


def _refused(error: Exception) -> Refused:
    hint = "details are in service.log, in Distill's state folder"
    said = shown(str(error).split("\n", 1)[0])
    match error:
        case MemoryError():
            return Refused(message="the memory doesn't suffice", hint="ask for a shorter sound")
        case RuntimeError() if "can't allocate memory" in said:  # all that torch says on a CPU
            return Refused(message="the memory doesn't suffice", hint="ask for a shorter sound")
        case ImportError():
            return Refused(message=f"torch can't be loaded: {said}", hint=f"distill-engine doctor looks at it; {hint}")
        case OSError(strerror=str(reason), filename=name):
            return Refused(message=f"{shown(str(name or 'a file'))}: {reason}", hint=hint)
    return Refused(
        message=f"something broke inside Distill: {type(error).__name__}: {said}", hint=f"please report it; {hint}"
    )


def main() -> None:
    """Answer on what are standard input and output at the start; from then on neither is one any more."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    os.nice(NICENESS)
    prepare_for_torch(os.environ)
    os.environ.setdefault("OMP_NUM_THREADS", str(min(max((os.cpu_count() or 1) // 2, 1), MOST_THREADS)))
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(name)s %(message)s")
    try:
        _Helper(requests, answers).work()
    except BrokenPipeError:
        os._exit(0)  # the front end is gone


if __name__ == "__main__":
    main()
