"""Where a run computes, with the GPUs simulated."""
import json
import subprocess

import pytest
import torch
from tiny_models import save_tiny_model
from transformers import AutoModelForCausalLM, Qwen3Config
from whole_runs import run_folder

import run_experiment
from basics.errors import UserError
from runs import provenance
from thinking import devices
from thinking.devices import (
    check_no_gpu_is_left_out,
    choose_device,
    device_line,
    gpu_that_holds,
    nvidia_driver,
    slow_format_line,
)
from thinking.memory_estimate import MemoryEstimate
from thinking.prompt_encoder import PromptEncoder

GB = 10**9
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)  Sun Jul 27\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes a machine of a driver's file (None: no driver), the CUDA version of torch, and GPUs by their free bytes."""

    def make(driver=None, cuda="13.0", free=()):
        path = tmp_path / "version"
        if driver is not None:
            path.write_text(driver, encoding="utf-8")
        monkeypatch.setattr(devices, "_DRIVER_FILE", path)
        monkeypatch.setattr(devices.shutil, "which", lambda name: None)
        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (free[index], free[index]))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA H100")
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda index: type("Card", (), {"total_memory": free[index]})
        )
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)

    return make


@pytest.mark.parametrize(
    ("driver", "cuda", "told"),
    [
        (PROPRIETARY, "13.0", ["535.104.05", "CUDA 13.0", "R580 or newer"]),
        (OPEN, "13.0", ["580.65.06", "finds none", "nvidia-smi", "not set"]),
        (OPEN, None, ["580.65.06", "built without CUDA"]),
    ],
)
def test_a_gpu_that_cannot_be_used_ends_the_run_in_one_line(machine, driver, cuda, told):
    machine(driver, cuda)
    with pytest.raises(UserError) as refused:
        check_no_gpu_is_left_out()
    for part in [*told, 'CUDA_VISIBLE_DEVICES=""']:
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "hidden", [("CUDA_VISIBLE_DEVICES", ""), ("CUDA_VISIBLE_DEVICES", "-1"), ("ACCELERATE_USE_CPU", "1")]
)
def test_a_processor_that_was_asked_for_is_used(machine, monkeypatch, hidden):
    machine(PROPRIETARY)
    monkeypatch.setenv(*hidden)
    check_no_gpu_is_left_out()
    assert choose_device(None, 500, 20) == "cpu"


def test_a_machine_without_a_driver_and_one_with_a_gpu_are_fine(machine):
    machine(None)
    check_no_gpu_is_left_out()
    assert device_line(choose_device(None, 500, 20), 1).startswith("Device: CPU")
    machine(OPEN, free=[80 * GB])
    check_no_gpu_is_left_out()
    assert device_line(choose_device(None, 500, 20), 1) == "Device: cuda:0, NVIDIA H100 with 80 GB"


def test_the_driver_is_asked_of_nvidia_smi_where_the_kernel_has_no_file(machine, monkeypatch):
    machine(None)
    assert nvidia_driver() is None
    monkeypatch.setattr(devices.shutil, "which", lambda name: name)
    two_gpus = subprocess.CompletedProcess([], 0, "550.54.15\n550.54.15\n")
    answers = [two_gpus, subprocess.TimeoutExpired("nvidia-smi", 30)]

    def run(*args, **settings):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(devices.subprocess, "run", run)
    assert nvidia_driver() == "550.54.15"
    assert nvidia_driver() is None


@pytest.mark.parametrize(
    ("free", "index"),
    [
        ([80, 80], 0),
        ([40, 80], 1),
        ([13.1, 13.1], 0),  # 8 of weights, 3.5 in passing, 16 rows of 0.01, of 0.9 of what is free
        ([12.9, 12.9], None),
        ([12.9, 12.9, 12.9, 12.9], None),
        ([1, 2], None),
    ],
)
def test_a_model_that_fits_one_gpu_with_some_rows_stays_on_the_one_with_the_most_room(free, index):
    assert gpu_that_holds(8 * GB, int(3.5 * GB), GB // 100, [int(one * GB) for one in free]) == index


def test_several_gpus_hold_what_one_cannot(machine, tiny_folder):
    encoder = PromptEncoder.load(str(tiny_folder))
    machine(OPEN, free=[GB // 100, 80 * GB])
    device = choose_device(encoder, 500, 20)
    assert device == "cuda:1"
    assert "of 2 GPUs one is used: accelerate launch" in device_line(device, 1)
    assert "2 processes, one per GPU" in device_line(torch.device("cuda:0"), 2)
    machine(OPEN, free=[GB // 100, GB // 100])
    device = choose_device(encoder, 500, 20)
    assert device == "auto"
    assert "2 GPUs (NVIDIA H100)" in device_line(device, 1)


@pytest.mark.parametrize(
    ("dtype", "flags", "is_slow"),
    [
        ("bfloat16", "flags\t\t: fpu avx2 avx512f", True),
        ("bfloat16", "flags\t\t: fpu avx2 avx512_bf16", False),
        ("bfloat16", "flags\t\t: fpu amx_bf16 amx_tile", False),
        ("bfloat16", "Features\t: fp asimd asimdhp", True),
        ("bfloat16", "Features\t: fp asimd bf16", False),
        ("float16", "flags\t\t: fpu avx512_bf16", True),
        ("float16", "Features\t: fp asimd asimdhp", False),
        ("float32", "flags\t\t: fpu", False),
        ("float64", "flags\t\t: fpu", False),
        ("bfloat16", "a system that names no flags", False),
    ],
)
def test_a_format_without_instructions_is_said_to_be_slow(monkeypatch, tmp_path, dtype, flags, is_slow):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\n{flags}\n", encoding="utf-8")
    monkeypatch.setattr(devices, "_PROCESSOR_FILE", path)
    line = slow_format_line(torch.device("cpu"), dtype)
    assert (line is not None) == is_slow
    assert not is_slow or "--dtype float32" in line
    assert slow_format_line(torch.device("cuda:0"), dtype) is None


def test_the_number_format_decides_what_must_fit(monkeypatch, machine, tiny_folder):
    asked = []
    monkeypatch.setattr(devices, "gpu_that_holds", lambda weights, *others: asked.append(weights))
    machine(OPEN, free=[GB, GB])
    for dtype in ("bfloat16", "float32", "auto"):
        choose_device(PromptEncoder.load(str(tiny_folder)), 500, 20, dtype)
    assert 2 * asked[0] == asked[1] == asked[2] > 0


def test_an_empty_model_is_estimated_as_the_loaded_one(tmp_path):
    folder = save_tiny_model(tmp_path / "tied", tie_word_embeddings=True)
    AutoModelForCausalLM.from_pretrained(folder).bfloat16().save_pretrained(folder)
    config = PromptEncoder.load(str(folder)).config
    loaded = MemoryEstimate(AutoModelForCausalLM.from_pretrained(folder, dtype="auto"), 20)
    empty = MemoryEstimate(devices._without_weights(config), 20)
    assert loaded.model.dtype == torch.bfloat16
    assert (empty.weights, empty.batch(7, 500)) == (loaded.weights, loaded.batch(7, 500))


def test_qwen3_4b_takes_the_memory_that_its_shape_says():
    config = Qwen3Config(
        vocab_size=151936, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, dtype="bfloat16",
    )  # fmt: skip
    estimate = MemoryEstimate(devices._without_weights(config), 20)
    assert estimate.weights == 8_044_936_192  # 4,022,468,096 parameters of 2 bytes
    assert estimate.cache_per_token == 147_456
    assert estimate.rows_that_fit(int(72e9), 500) == 512
    assert 30 < estimate.rows_that_fit(int(8e9), 500) < 50
    assert estimate.rows_that_fit(int(1e9), 500) == 0


def test_what_a_gpu_computes_with_is_recorded_and_null_on_a_cpu(machine, monkeypatch):
    assert set(provenance.gpu_software(torch.device("cpu")).values()) == {None}
    machine(OPEN, free=[80 * GB])
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    torch.backends.cuda.enable_cudnn_sdp(False)
    wanted = {"nvidia_driver": "580.65.06", "cuda": "13.0", "cudnn": 91002}
    assert provenance.gpu_software(torch.device("cuda")) == wanted | {
        "attention_backends": ["flash", "math", "memory-efficient"]
    }


def test_a_run_tells_its_device_before_it_loads_the_model_and_records_it(arguments, capsys):
    assert run_experiment.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    told = next(number for number, line in enumerate(lines) if line.startswith("Device: "))
    assert told < lines.index("Loading the model ...")
    process = json.loads((run_folder(arguments) / "config.json").read_text(encoding="utf-8"))["processes"][0]
    on_gpu = torch.cuda.is_available()
    for name in ("nvidia_driver", "cuda", "cudnn", "attention_backends"):
        assert (process[name] is not None) == on_gpu


def test_a_run_beside_an_idle_gpu_ends_in_one_line_before_anything_is_loaded(machine, arguments, capsys):
    machine(PROPRIETARY)
    assert run_experiment.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("Reading ") and shown.out.count("\n") == 1
    assert shown.err.startswith("run_experiment.py: an NVIDIA driver 535.104.05 is here") and shown.err.count("\n") == 1
