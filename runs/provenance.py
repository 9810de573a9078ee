"""Where a result comes from: versions, device, commit of this program."""
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from thinking.devices import nvidia_driver

HERE = Path(__file__).resolve().parents[1]
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Version of Python and of each library that can change a result."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def device_name(device: torch.device | None) -> str | None:
    """Name of the GPU, or of the processor architecture and its number of threads; None for another machine's."""
    if device is None:
        return None
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} x {torch.cuda.device_count()}"
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def gpu_software(device: torch.device | None) -> dict:
    """Driver, CUDA, cuDNN and what torch may compute attention with, in alphabetical order; None without a GPU here."""
    if device is None or device.type != "cuda":
        return dict.fromkeys(("nvidia_driver", "cuda", "cudnn", "attention_backends"))
    cuda = torch.backends.cuda
    enabled = {
        "cudnn": cuda.cudnn_sdp_enabled(),
        "flash": cuda.flash_sdp_enabled(),
        "math": cuda.math_sdp_enabled(),
        "memory-efficient": cuda.mem_efficient_sdp_enabled(),
    }
    return {
        "nvidia_driver": nvidia_driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "attention_backends": [name for name, is_enabled in enabled.items() if is_enabled],
    }


def git_commit() -> str | None:
    """Commit of this program, with `-dirty` behind it if a tracked file differs; None if it has no repository.

    A copy inside another repository has none: the commit there says nothing about this program.
    """
    try:
        if _git("rev-parse", "--show-prefix"):  # the path from the top of the repository down to here
            return None
        _git("ls-files", "--error-unmatch", "run_experiment.py")
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):  # no git, not a checkout, not our file
        return None


def _git(*arguments: str) -> str:
    """What git says about the repository that this program lies in, whichever the environment names (as in a hook)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    said = subprocess.run(
        ["git", *arguments], cwd=HERE, env=environment, capture_output=True, text=True, check=True
    )
    return said.stdout.strip()


def this_process(device: torch.device | None, engine: dict, batch_size: int) -> dict:
    """Entry of this process in `config.json`; seconds is None until it has computed its records."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": None,
        "git_commit": git_commit(),
        "versions": versions(),
        "engine": engine,
        "device": device_name(device),
        **gpu_software(device),
        "batch_size": batch_size,
    }
