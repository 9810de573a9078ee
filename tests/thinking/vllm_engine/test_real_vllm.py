"""A real vLLM on a CPU, in process and as a server. Each takes half a minute and more to start."""
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from fake_vllm import FakeTransport, FakeVllm
from other_architectures import (
    save_hybrid,
    save_hybrid_of_experts,
    save_mixture_of_experts,
    save_quantised,
    save_sliding_window,
)
from readings_and_records import READOUTS, assert_same_reading, assert_same_records, request
from tiny_models import load_model, save_tiny_model
from transformers import AutoModelForCausalLM
from whole_runs import records_by_key, run_folder

pytest.importorskip("vllm", reason="needs vLLM: make test-vllm")
import run_experiment
from basics.errors import UserError
from thinking.load_weights import check_architecture
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling
from thinking.vllm_engine.model import VllmModel, connect

ROOT = Path(run_experiment.__file__).parent
CAPS = (0, 1, 7, 40, 120)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """Heads of 32 numbers: vLLM's attention on a CPU takes no fewer."""
    return save_tiny_model(tmp_path_factory.mktemp("model"), head_dim=32)


@pytest.fixture(scope="module")
def expected(model_folder):
    return load_model(model_folder).read_thoughts([request(number, CAPS) for number in range(6)])


def assert_same_readings(found, expected):
    for one, other in zip(found, expected, strict=True):
        for first, second in zip(one, other, strict=True):
            assert_same_reading(first, second)


def vllm_model(engine, folder):
    encoder = load_model(folder).encoder
    return VllmModel(encoder, Sampling(1.0, 1.0, 0), connect(engine, encoder, 600), 600)


def test_in_process_readings_are_those_of_the_transformers_engine_in_any_order(model_folder, expected):
    model = vllm_model("vllm", model_folder)
    try:
        assert model.promises.own_draws
        assert model.promises.float32_readouts
        assert (model.promises.dtype, model.promises.device_type) == ("float32", "cpu")
        requests = [request(number, CAPS) for number in range(6)]
        assert_same_readings(model.read_thoughts(requests), expected)
        assert_same_readings(model.read_thoughts(requests[::-2]), expected[::-2])
        model.transport.counts.clear()
        model.read_thoughts([request(9, CAPS, READOUTS)])
        counts = model.transport.counts
        assert counts["cached_tokens"] / counts["prompt_tokens"] > 0.7  # of short prompts; a real run has more
    finally:
        model.close()


@pytest.fixture(scope="module")
def server(model_folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model_folder),
        "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager", "--block-size", "32",
        "--kv-cache-memory-bytes", str(1 << 28), "--hf-overrides", '{"head_dtype": "float32"}',
        "--logits-processors", "thinking.vllm_engine.processor:OwnDraws",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VLLM_NO_USAGE_STATS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 500
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/version", timeout=5).read()
                break
            except OSError:
                assert process.poll() is None, process.stderr.read()[-2000:]
                assert time.monotonic() < until, "the server did not start"
                time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_server_gives_the_same_readings(model_folder, expected, server):
    model = vllm_model(server, model_folder)
    assert_same_readings(model.read_thoughts([request(number, CAPS) for number in range(6)]), expected)
    model.close()


def test_a_whole_run_on_a_server_has_the_records_of_a_run_here(model_folder, question_file, server, tmp_path):
    command = [
        "--model-name", str(model_folder), "--dataset", str(question_file), "--n-questions", "4",
        "--total-budget", "20", "--n-permutations", "2", "--temperature", "1", "--top-k", "0", "--top-p", "1",
    ]  # fmt: skip
    here, there = [*command, "--save-dir", str(tmp_path / "a")], [*command, "--save-dir", str(tmp_path / "b")]
    assert run_experiment.main(here) == 0
    assert run_experiment.main([*there, "--engine", server]) == 0
    ours, theirs = records_by_key(run_folder(here)), records_by_key(run_folder(there))
    assert ours.keys() == theirs.keys()
    for key, record in ours.items():
        assert_same_records(record, theirs[key])


def test_a_real_server_says_no_in_one_line(model_folder, tmp_path, server):
    other = save_tiny_model(tmp_path, head_dim=32)
    with pytest.raises(UserError, match=r"it serves .*, and model_name is"):
        vllm_model(server, other)
    encoder = load_model(model_folder).encoder
    with pytest.raises(UserError, match="rows hold 4,096 tokens"):
        VllmModel(encoder, Sampling(1.0, 1.0, 0), connect(server, encoder, 5000), 5000)


# --- models that this program's own decoder refuses -------------------------------------------------------------------


@pytest.mark.parametrize("save", [save_sliding_window, save_mixture_of_experts])
def test_sliding_windows_give_the_readings_of_transformers(save, tmp_path):
    encoder = PromptEncoder.load(str(save(tmp_path)))
    with pytest.raises(UserError, match="sliding window"):
        check_architecture(encoder.model_name, encoder.config)
    requests, sampling = [request(number, CAPS) for number in range(3)], Sampling(1.0, 1.0, 0)
    slow = FakeTransport(FakeVllm(AutoModelForCausalLM.from_pretrained(tmp_path)))
    expected = VllmModel(encoder, sampling, slow, 600).read_thoughts(requests)
    assert len(expected[0][-1].thinking_ids) > 32  # beyond the window
    with closing(VllmModel(encoder, sampling, connect("vllm", encoder, 600), 600)) as model:
        assert_same_readings(model.read_thoughts(requests), expected)


@pytest.mark.parametrize(("save", "refused"), [(save_hybrid_of_experts, "recurrent"), (save_quantised, "quantised")])
def test_recurrent_and_quantised_models_run(save, refused, tmp_path):
    """In the short formats that vLLM computes them in on a CPU: no engine here has the same numbers."""
    encoder = PromptEncoder.load(str(save(tmp_path)))
    with pytest.raises(UserError, match=refused):
        check_architecture(encoder.model_name, encoder.config)
    with closing(VllmModel(encoder, Sampling(1.0, 1.0, 0), connect("vllm", encoder, 600), 600)) as model:
        found = model.read_thoughts([request(number, CAPS) for number in range(3)])
    readings = [reading for of_request in found for reading in of_request]
    assert {reading.error for reading in readings} == {None}
    assert max(reading.thinking_tokens for reading in readings) > 20
    assert all(abs(sum(result.probabilities) - 1) < 1e-6 for one in readings for result in one.readouts.values())


def test_a_model_that_this_vllm_cannot_load_is_refused_in_one_line(tmp_path):
    """Qwen3.5's shape: its code also sees, and needs a torchvision, which the CPU package has none to match."""
    encoder = PromptEncoder.load(str(save_hybrid(tmp_path)))
    try:
        import torchvision  # noqa: F401
    except ImportError:
        with pytest.raises(UserError) as caught:
            connect("vllm", encoder, 600)
        assert "vLLM cannot run it" in str(caught.value)
        assert "\n" not in str(caught.value)
    else:
        connect("vllm", encoder, 600).close()


# --- the V2 model runner, which GPUs use, on a processor: its kernels run in Triton's interpreter ---------------------

_A_BACKEND = """
import types
import triton.backends
# vLLM asks for a Triton backend of the processor; the interpreter needs none.
driver = types.SimpleNamespace(is_active=lambda: True)
triton.backends.backends["cpu"] = types.SimpleNamespace(driver=driver, compiler=None)
"""


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="the next test runs it, in Triton's interpreter")
def test_readings_of_the_v2_model_runner(model_folder):
    requests = [request(number, (0, 7, 25)) for number in range(3)]
    with closing(vllm_model("vllm", model_folder)) as model:
        assert_same_readings(model.read_thoughts(requests), load_model(model_folder).read_thoughts(requests))


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="it would start itself")
def test_the_v2_model_runner_gives_the_same_readings(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(_A_BACKEND)
    environment = {
        **os.environ, "PYTHONPATH": str(tmp_path), "TRITON_INTERPRET": "1", "VLLM_USE_V2_MODEL_RUNNER": "1",
        "VLLM_LOGGING_LEVEL": "INFO",
    }  # fmt: skip
    inner = f"{__file__}::{test_readings_of_the_v2_model_runner.__name__}"
    command = [sys.executable, "-m", "pytest", "-s", "-rN", inner]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout
    assert "Using V2 Model Runner" in done.stdout + done.stderr
