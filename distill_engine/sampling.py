"""What the machine is doing while a run lives: a sample every two seconds, from a thread of the worker's own."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from distill_engine.events import Event, GpuSample, SystemSample

if TYPE_CHECKING:
    import psutil

SECONDS_BETWEEN = 2.0


@contextlib.contextmanager
def sampled(report: Callable[[Event], object], gpu_uuids: Sequence[str]) -> Iterator[None]:
    """Report a sample every two seconds until left, of the machine and of the GPUs in use.

    GPUs are named by uuid: their numbers change with CUDA_VISIBLE_DEVICES.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_sample_until, args=(ended, report, gpu_uuids), name="samples", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _sample_until(ended: threading.Event, report: Callable[[Event], object], gpu_uuids: Sequence[str]) -> None:
    try:
        _sample(ended, report, gpu_uuids)
    except Exception:  # a run doesn't end for want of samples
        logging.getLogger(__name__).exception("there will be no more samples of the machine")


def _sample(ended: threading.Event, report: Callable[[Event], object], gpu_uuids: Sequence[str]) -> None:
    import psutil  # noqa: PLC0415

    process = psutil.Process()
    psutil.cpu_percent()
    process.cpu_percent()
    with _gpus(gpu_uuids) as read_gpus:
        while not ended.wait(SECONDS_BETWEEN):
            memory = psutil.virtual_memory()
            report(
                SystemSample(
                    cpu=psutil.cpu_percent(),
                    memory_used=memory.total - memory.available,
                    memory_total=memory.total,
                    worker_cpu=process.cpu_percent(),
                    worker_memory=_resident(process),
                    gpus=read_gpus(),
                )
            )


def _resident(process: psutil.Process) -> int:
    import psutil  # noqa: PLC0415

    total = int(process.memory_info().rss)
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += int(child.memory_info().rss)
    return total


@contextlib.contextmanager
def _gpus(uuids: Sequence[str]) -> Iterator[Callable[[], list[GpuSample]]]:
    """Yield what reads the GPUs of these uuids; where there are none, or no driver answers, it reads none."""
    if not uuids:
        yield list
        return
    import pynvml  # noqa: PLC0415

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield list
        return
    try:
        handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
        yield lambda: [_gpu(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def _gpu(handle: object) -> GpuSample:
    import pynvml  # noqa: PLC0415

    def told(question: Callable[[], float]) -> float | None:
        try:
            return question()
        except pynvml.NVMLError:
            return None

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    milliwatts = told(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
    return GpuSample(
        index=pynvml.nvmlDeviceGetIndex(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        load=told(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        memory_used=memory.used,
        memory_total=memory.total,
        power=None if milliwatts is None else milliwatts / 1000,
        temperature=told(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
    )
