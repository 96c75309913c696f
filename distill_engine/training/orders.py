"""Orders to a run in training, followed between two steps. None changes what is learnt."""

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
from distill_engine.training.run import Run, in_run
from distill_engine.training.state import TrainingState


def follow_orders(state: TrainingState, run: Run) -> Stop | StopNow | None:
    """Do what waits to be done; return an order that ends the run."""
    while (order := run.orders.take()) is not None:
        match order:
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
    progress, device = state.progress, torch.device(run.config.device)
    trained = run.seconds()
    state.move_to(torch.device("cpu"))
    run.report(RunPaused(step=progress.step, epoch=progress.epoch, reason=order.sender))
    run.orders.answer(order, "done", f"paused after step {progress.step:,}")
    while not isinstance(wake := run.orders.wait(), Unpause | Stop | StopNow):
        _do(wake, state, run)
    state.move_to(device)
    run.started += run.seconds() - trained
    run.report(RunUnpaused(step=progress.step, epoch=progress.epoch))
    if not isinstance(wake, Unpause):
        return wake
    run.orders.answer(wake, "done", f"goes on after step {progress.step:,}")
    return None


def _do(order: AnyCommand, state: TrainingState, run: Run) -> None:
    """Carry out an order after which all goes on as before."""
    step = f"step {state.progress.step:,}"
    match order:
        case Checkpoint() if state.progress.step:
            run.orders.answer(order, "done", f"saved at {step}", in_run(run.save(state)))
        case Checkpoint():
            run.orders.answer(order, "refused", "no step has been taken yet: there is nothing to save")
        case Preview():
            made = run.preview(state)
            if made is None:
                run.orders.answer(order, "refused", "it was given up: another order came, or it couldn't be written")
            else:
                run.orders.answer(order, "done", f"made at {step}", made.path)
        case Pause():
            run.orders.answer(order, "done", "paused already")
        case _:
            run.orders.answer(order, "done", "nothing to go on from: the run isn't paused")
