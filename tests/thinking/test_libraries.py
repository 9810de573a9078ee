"""What the program changes in its libraries, mostly in another process: this one has changed it already."""
import gc
import json
import os
import platform
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from thinking.libraries import rare_garbage_collection

ROOT = Path(__file__).resolve().parents[2]

_SCRIPT = """
import json, sys
import huggingface_hub.utils._http as hub_http
import torch, transformers
from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging
from transformers.utils.logging import is_progress_bar_enabled
torch.set_num_threads(2)
def state():
    return [hub_logging.get_verbosity(), logging.get_verbosity(), is_progress_bar_enabled(), torch.get_num_threads(),
            torch.backends.cuda.cudnn_sdp_enabled(), hub_http._GLOBAL_CLIENT_FACTORY.__name__]
found = [state()]
import run_experiment, hugging_face_model, thinking.libraries, questions.question_sets, questions.files
import demo.measure, thinking.devices
found.append(state())
model = run_experiment.DEMO["model_name"]
encoder = hugging_face_model.PromptEncoder.load(model)
loaded = hugging_face_model.HuggingFaceModel(encoder, hugging_face_model.Sampling(0.6, 0.95, 20), "cpu")
found.append(state())
thinking.libraries.prepare_libraries()
loaded.limit_threads()
found.append(state())
print(json.dumps(found))
"""


@pytest.mark.parametrize(("asked_for", "n_threads"), [({}, 1), ({"OMP_NUM_THREADS": "2"}, 2)])
def test_imports_and_a_loaded_model_change_no_library_and_the_two_explicit_calls_do(asked_for, n_threads):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=ROOT, env=environment | asked_for | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, imported, loaded, prepared = json.loads(done.stdout.splitlines()[-1])
    assert before == imported == loaded
    assert before[2:5] == [True, 2, True]
    assert prepared == [40, 40, False, n_threads, False, "_client_with_limits"]  # 40: logging.ERROR


_ALLOCATIONS = """
import resource, sys
import torch
from thinking.libraries import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for _ in range(3):
    torch.ones(2**24)  # 64 MB, freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_memory_that_is_kept_is_not_cleared_again_for_every_step():
    found = {}
    for how in ("keep", "leave"):
        done = subprocess.run(
            [sys.executable, "-c", _ALLOCATIONS, how], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        found[how] = done.stdout.split()
    assert (found["keep"][0], found["leave"][0]) == ("True", "None")
    assert int(found["keep"][1]) < 100
    assert int(found["leave"][1]) > 1000  # else there is nothing to keep, and the call can go


def test_the_garbage_collector_leaves_alone_what_existed_before_and_only_inside():
    class Old:
        """Part of a cycle, so only the collector can free it."""

        def __init__(self):
            self.itself = self

    weak, thresholds = weakref.ref(old := Old()), gc.get_threshold()
    with pytest.raises(ValueError, match="of a run"), rare_garbage_collection():
        del old
        gc.collect()
        assert weak() is not None
        assert gc.get_threshold()[0] > thresholds[0]
        raise ValueError("of a run")
    gc.collect()
    assert weak() is None
    assert gc.get_threshold() == thresholds
