"""Where the model computes: one GPU, several, or the CPU. Chosen, and printed, before the weights are loaded."""
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import torch
from accelerate.utils import parse_flag_from_env
from transformers import AutoModelForCausalLM

from basics.errors import UserError
from thinking.memory_estimate import MemoryEstimate

_DRIVER_FILE = Path("/proc/driver/nvidia/version")
_DRIVERS_NEEDED = {"12": 525, "13": 580}  # by the CUDA version of torch: NVIDIA's minor version compatibility
_PROCESSOR_FILE = Path("/proc/cpuinfo")
# Flags of processors that multiply in a number format, as Linux names them: x86, then ARM
_FORMAT_FLAGS = {
    "bfloat16": {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"},
    "float16": {"avx512_fp16", "amx_fp16", "fphp", "asimdhp"},
}
_LEAST_ROWS = 16  # must fit beside the weights; with fewer at a time, spreading the model over GPUs is faster


def nvidia_driver() -> str | None:
    """Version of this machine's NVIDIA driver, such as "580.65.06"; None if there is none."""
    text = ""
    if _DRIVER_FILE.is_file():
        text = _DRIVER_FILE.read_text(encoding="utf-8", errors="replace")
    elif shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            text = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        except (OSError, subprocess.SubprocessError):  # installed, but no driver answers
            return None
    found = re.search(r"\d{3,}\.\d+(\.\d+)?", text)
    return found and found[0]


def check_no_gpu_is_left_out() -> None:
    """Raises UserError if there is a GPU driver but torch cannot use a GPU, unless the user asked for the CPU."""
    if torch.cuda.is_available() or _cpu_is_asked_for():
        return
    if driver := nvidia_driver():
        raise UserError(
            f"an NVIDIA driver {driver} is here, but no GPU can be used: {_why_unusable(driver)}. To compute on the"
            ' processor on purpose, set CUDA_VISIBLE_DEVICES=""'
        )


def _cpu_is_asked_for() -> bool:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
    return hidden or parse_flag_from_env("ACCELERATE_USE_CPU")  # set by accelerate launch --cpu


def _why_unusable(driver: str) -> str:
    cuda = torch.version.cuda
    if cuda is None:
        return f"torch {torch.__version__} was built without CUDA; install the build with CUDA"
    needed = _DRIVERS_NEEDED.get(cuda.partition(".")[0])
    if needed and int(driver.partition(".")[0]) < needed:
        return f"torch {torch.__version__} is built for CUDA {cuda}, which needs driver R{needed} or newer; update it"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
    return f"torch {torch.__version__} (CUDA {cuda}) finds none; see nvidia-smi (CUDA_VISIBLE_DEVICES: {visible})"


def choose_device(encoder, tokens_per_row: int, top_k: int, dtype: str = "auto") -> str:
    """The device of a run in one process: "cpu", a GPU such as "cuda:0", or "auto", which spreads the model.

    dtype: number format of the weights, "auto" for that of the files. Raises what `encoder.weights_folder` raises.
    """
    number = 0 if _cpu_is_asked_for() or not torch.cuda.is_available() else torch.cuda.device_count()
    if number < 2:
        return "cuda:0" if number else "cpu"
    estimate = MemoryEstimate(_without_weights(encoder.config, dtype), top_k)
    free = [torch.cuda.mem_get_info(index)[0] for index in range(number)]
    index = gpu_that_holds(estimate.weights, estimate.one_pass(tokens_per_row), estimate.row(tokens_per_row), free)
    return "auto" if index is None else f"cuda:{index}"


def gpu_that_holds(weights: int, one_pass: int, row: int, free: list[int]) -> int | None:
    """Index of the GPU with the most free memory if it holds the model and some rows, else None. All in bytes."""
    roomiest = max(range(len(free)), key=lambda index: free[index])
    return roomiest if weights + one_pass + _LEAST_ROWS * row <= 0.9 * free[roomiest] else None


def _without_weights(config, dtype: str = "auto"):
    """The model on the meta device, in the number format of the weights."""
    number_format = (config.dtype or torch.float32) if dtype == "auto" else getattr(torch, dtype)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=number_format, trust_remote_code=False)


def device_line(device, n_processes: int) -> str:
    """The line that a run prints about its device ("cpu", "cuda:1", "auto") before it loads the model."""
    device = str(device)
    if device == "cpu":
        return f"Device: CPU ({platform.machine()}); no GPU is used"
    number = torch.cuda.device_count()
    if device == "auto":
        names = ", ".join(sorted({torch.cuda.get_device_name(index) for index in range(number)}))
        return f"Device: {number} GPUs ({names}); the model is larger than one of them, so its layers are spread"
    index = torch.device(device).index or 0
    total = torch.cuda.get_device_properties(index).total_memory
    line = f"Device: {device}, {torch.cuda.get_device_name(index)} with {total / 1e9:.0f} GB"
    if n_processes > 1:
        return f"{line}; {n_processes} processes, one per GPU"
    if number > 1:
        line += f"; of {number} GPUs one is used: accelerate launch --multi_gpu run_experiment.py uses all"
    return line


def slow_format_line(device: torch.device, dtype: str) -> str | None:
    """What a run prints if this processor has no instructions for the weights' number format.

    None if it has them, if the system does not say what it has, and for formats that every processor has.
    """
    flags = _processor_flags()
    if device.type != "cpu" or dtype not in _FORMAT_FLAGS or not flags or _FORMAT_FLAGS[dtype] & flags:
        return None
    return (
        f"The weights are in {dtype}, which this processor has no instructions for: --dtype float32 computes several"
        " times faster here, in twice the memory, and is another run"
    )


def _processor_flags() -> set[str]:
    """What Linux says that the processor can do; empty where it says nothing."""
    text = _PROCESSOR_FILE.read_text(encoding="utf-8", errors="replace") if _PROCESSOR_FILE.is_file() else ""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()
