"""Orders to a run in training, followed between two steps. None changes what a run learns whose steps are finite.

(One that diverges goes back to its newest checkpoint, and an order may have saved that.)
"""

from __future__ import annotations

import torch

from distill_engine.events import (
    AnyCommand,
    Checkpoint,
    Pause,
    Preview,
    RunPaused,
    RunUnpaused,
    Stop,
    StopNow,
    Unpause,
)
from distill_engine.training.computing import give_memory_back
from distill_engine.training.run import Run, in_run
from distill_engine.training.state import TrainingState


def follow_orders(state: TrainingState, run: Run) -> Stop | StopNow | None:
    """Do what waits to be done; return an order that ends the run."""
    while run.orders.waiting():
        run.aside.settle()  # first, for what waits for its disk there looks at what is asked
        order = run.orders.take()
        match order:
            case None:
                pass
            case Stop() | StopNow():
                return order
            case Pause():
                if (ending := _pause(state, run, order)) is not None:
                    return ending
            case _:
                _do(order, state, run)
    return None


def _pause(state: TrainingState, run: Run, order: Pause) -> Stop | StopNow | None:
    """Wait for an order to go on, with nothing on the GPU meanwhile; return one that ends the run instead."""
    progress = state.progress
    trained = run.seconds()
    run.stepper.rest()
    _leave_device(state, run)
    run.report(RunPaused(step=progress.step, epoch=progress.epoch, reason=order.sender))
    run.orders.answer(order, "done", f"paused after step {progress.step:,}")
    while True:
        wake = run.orders.wait()
        run.started += run.seconds() - trained  # a pause is no training time
        match wake:
            case Stop() | StopNow():  # what is left to do needs no GPU, and somebody else may use it now
                return wake
            case Unpause():
                if _back_on_device(state, run, wake):
                    return None
            case _:
                _do(wake, state, run)


def _leave_device(state: TrainingState, run: Run) -> None:
    for loader in run.loaders():
        loader.rest()
    state.move_to(torch.device("cpu"))
    give_memory_back()


def _back_on_device(state: TrainingState, run: Run, order: Unpause) -> bool:
    """Go on where the device has room again; otherwise refuse, and stay paused."""
    progress = state.progress
    try:
        state.move_to(torch.device(run.config.device))
        for loader in run.loaders():
            loader.come_back()
    except torch.OutOfMemoryError:
        _leave_device(state, run)
        run.orders.answer(order, "refused", "the GPU has no room yet: the run stays paused")
        return False
    run.report(RunUnpaused(step=progress.step, epoch=progress.epoch))
    run.orders.answer(order, "done", f"goes on after step {progress.step:,}")
    return True


def _do(order: AnyCommand, state: TrainingState, run: Run) -> None:
    """Carry out an order after which all goes on as before."""
    step = f"step {state.progress.step:,}"
    match order:
        case Checkpoint() if state.progress.step:
            run.checkpoints.cadence.asked(state.progress.epoch)
            run.orders.answer(order, "done", f"saved at {step}", in_run(run.save(state)))
        case Checkpoint():
            run.orders.answer(order, "refused", "no step has been taken yet: there is nothing to save")
        case Preview():
            run.previews.cadence.asked(state.progress.epoch)
            made = run.preview(state)
            if made is None:
                run.orders.answer(order, "refused", "it was given up: a stop came between, or it couldn't be written")
            else:
                run.orders.answer(order, "done", f"made at {step}", made.path)
        case Pause():
            run.orders.answer(order, "done", "paused already")
        case _:
            run.orders.answer(order, "done", "nothing to go on from: the run isn't paused")
