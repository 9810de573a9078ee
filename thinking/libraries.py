"""What this program changes in Python and the libraries that it uses, for the whole process; no import changes any."""
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from basics.hub_faults import limit_hub_waits

# Of glibc's mallopt
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER_TRIM = 2**31 - 1
_YOUNG_OBJECTS = 10_000  # between two collections; Python has 700


def prepare_libraries() -> None:
    """Called once per process, before questions and model are loaded."""
    limit_hub_waits()
    disable_progress_bar()  # of loading weights: the program shows a line and a bar of its own
    set_verbosity_error()  # tables of weights that do not fit would hide the one line that says so
    # On new GPUs torch would prefer it to flash attention. It plans anew for every shape, which takes tens of
    # milliseconds, and its decoding is reported to be wrong on some GPUs; benchmarks/gpu_check.py can tell.
    torch.backends.cuda.enable_cudnn_sdp(False)


def keep_freed_memory() -> bool:
    """Has the C library keep what is freed for the next step, in the whole process; False where it cannot (not glibc).

    For a model on a CPU, once its weights are loaded. Otherwise large tensors go back to the operating system at every
    step, which clears each page again before its next use (docs/decisions.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER_TRIM) and mallopt(_MMAP_MAX, 0))


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Inside, Python's garbage collector runs seldom, and leaves alone what exists already: modules, model, questions.

    Records hold no cycles, so they are freed without it, and it would go through everything again and again
    (docs/decisions.md). Afterwards it is as before, so a notebook keeps no model that nobody uses.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
