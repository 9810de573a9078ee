"""What this program changes in the libraries that it uses, for the whole process; no import changes any of it."""
import torch
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from basics.hub_faults import limit_hub_waits


def prepare_libraries() -> None:
    """Called once per process, before questions and model are loaded."""
    limit_hub_waits()
    disable_progress_bar()  # of loading weights: the program shows a line and a bar of its own
    set_verbosity_error()  # tables of weights that do not fit would hide the one line that says so
    # On new GPUs torch would prefer it to flash attention. It plans anew for every shape, which takes tens of
    # milliseconds, and its decoding is reported to be wrong on some GPUs; benchmarks/gpu_check.py can tell.
    torch.backends.cuda.enable_cudnn_sdp(False)
