"""Checks of decoding that need a GPU, in one command; on a CPU it runs the parts that need no CUDA.

    python -m benchmarks.gpu_check                         # random models: a small one, and Qwen3-4B's shape on a GPU
    python -m benchmarks.gpu_check --model-name FOLDER     # a model of your own in place of the large one

Writes gpu_check.json and prints its table. What was not measured is null, with the reason. Random weights answer at
chance, which is enough for equality, memory and speed. The small model is float32, where all ways to decode must give
the same records; for the large one, in its own number format, the table shows how many readings differ.
"""
import argparse
import ctypes
import gc
import json
import shutil
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen3Config

import run_experiment
from benchmarks.benchmark_generation import copy_bandwidth, weights_of_a_step
from benchmarks.meter import Meter
from benchmarks.step_candidates import layer_ways
from evaluation_tool import P_TRUE_READOUT, answer_readout
from hugging_face_model import HuggingFaceModel
from questions.question_sets import load_questions, select_questions
from runs import provenance
from runs.budgets import make_cells
from runs.computation import compute_records
from runs.units import make_units
from thinking.capped_decoding import FORK_TOKENS, CappedDecoder
from thinking.devices import check_no_gpu_is_left_out, device_line
from thinking.libraries import prepare_libraries
from thinking.memory_estimate import VOCABULARY_CHUNK
from thinking.model_interface import ThoughtRequest
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling
from thinking.thoughts import Thought
from thinking.transformers_engine import float32_product

SAMPLING = Sampling(run_experiment.TEMPERATURE, run_experiment.TOP_P, run_experiment.TOP_K)
READOUTS = {"answer": answer_readout(4), "p_true": P_TRUE_READOUT}
MIXED_CAPS = ((0,), (1,), (7,), (40,), (0, 40))
DEMO_MODEL = Path(run_experiment.DEMO["model_name"])
NEEDS_CUDA = "needs a CUDA GPU"
SHAPES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 768},
    "small": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 8,
              "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 151_936},
    "4b": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
}  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """What the parts measure. small: model folder, float32; large: model folder or hub id, any format."""

    small: str
    large: str
    device: str
    step_rows: list[int]
    step_tokens: list[int]
    memory_rows: list[int]

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device != "cpu"

    def load(self, folder: str, decoding: str = "") -> HuggingFaceModel:
        """A model on the device; "" decodes as the program does."""
        model = HuggingFaceModel(PromptEncoder.load(folder), SAMPLING, self.device, decoding)
        model.limit_threads()
        return model


def write_random_model(folder: Path, shape: str, dtype: torch.dtype, device: str) -> str:
    """A model of Qwen3's architecture with random weights and the demo's tokenizer; a larger vocabulary is masked."""
    shutil.copytree(DEMO_MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    config = Qwen3Config(max_position_embeddings=40_960, tie_word_embeddings=True, **SHAPES[shape])
    torch.manual_seed(0)
    with torch.device(device):
        AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(folder)
    return str(folder)


# --- the parts: each returns what it measured -----------------------------------------------------------------------


def backends(bench) -> dict:
    """Which attention operators each kind of pass calls."""
    model = bench.load(bench.large, "eager")
    prompt = model.encoder.encode_prompt("Why? Because.", True).ids

    def called(run):
        with torch.inference_mode(), torch.profiler.profile() as profile:
            run()
        names = {event.key for event in profile.key_averages() if "scaled_dot_product" in event.key}
        return sorted(name.removeprefix("aten::") for name in names - {"aten::scaled_dot_product_attention"})

    return {
        **provenance.gpu_software(model.device),
        "prefill": called(lambda: model.engine.decoder.think([Thought(prompt, 0, "prefill")])),
        "prefill and decode": called(lambda: model.engine.decoder.think([Thought(prompt, 4, "decode")])),
        "prefill and read-out": called(lambda: model.read_thoughts([ThoughtRequest("Why?", (0,), READOUTS, "read")])),
    }


def stepping(bench) -> dict:
    """Padded or captured steps against exact ones: mixed caps in batches that shrink; then one batch three times."""
    found = {}
    for name, folder in (("small", bench.small), ("large", bench.large)):
        exact, other = bench.load(folder, "eager"), bench.load(folder, "captured" if bench.on_gpu else "padded")
        other.reserve(400)
        batches = [mixed_requests(rows) for rows in (40, 36, 21, 13, 1)]
        with torch.inference_mode():
            differ = differences(
                [reading for batch in batches for of_one in other.read_thoughts(batch) for reading in of_one],
                [reading for batch in batches for of_one in exact.read_thoughts(batch) for reading in of_one],
            )
        again = [other.read_thoughts(batches[0]) for _ in range(3)]
        found[name] = {
            "dtype": other.identity()["dtype"],
            "decoding": other.engine.decoder.how,
            **differ,
            "read again equal": again[0] == again[1] == again[2],
        }
    return found


def mixed_requests(rows: int) -> list[ThoughtRequest]:
    """Thoughts of caps 0, 1, 7 and 40 with prompts of several lengths."""
    return [
        ThoughtRequest("Why? " * (1 + n % 7) + "Because.", MIXED_CAPS[n % len(MIXED_CAPS)], READOUTS, f"row {n}")
        for n in range(rows)
    ]


def differences(found: list, wanted: list) -> dict:
    """Readings, how many have other thinking ids, and of the rest the largest difference of a probability or mass."""
    other_ids, numbers = 0, [0.0]
    for one, reference in zip(found, wanted, strict=True):
        if one.thinking_ids != reference.thinking_ids:
            other_ids += 1
            continue
        for name, result in one.readouts.items():
            pairs = zip(values_of(result), values_of(reference.readouts[name]), strict=True)
            numbers += [abs(first - second) for first, second in pairs]
    return {"readings": len(found), "other ids": other_ids, "largest difference": max(numbers)}


def values_of(result):
    """Probabilities, then the mass."""
    return [*result.probabilities, result.mass]


def synchronisations(bench) -> dict:
    """How often the host waits for the device while thoughts of 64 tokens are decoded, by torch's own count."""
    model = bench.load(bench.small)
    batch = [Thought(model.encoder.encode_prompt("Why?", True).ids, 64, f"row {n}") for n in range(16)]
    with torch.inference_mode():
        model.engine.decoder.think(batch)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as seen, Meter(model.engine.decoder) as meter:
                warnings.simplefilter("always")
                model.engine.decoder.think([Thought(one.prompt_ids, one.cap, one.random_key) for one in batch])
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchroniz" in str(one.message) for one in seen)
    return {"decode passes": meter.passes["decode"], "waits": waits, "decoding": model.engine.decoder.how}


def failed_capture(bench) -> dict:
    """A forward pass that asks the device for a value cannot be captured: the message, and the readings then."""
    exact, model = bench.load(bench.small, "eager"), bench.load(bench.small, "captured")

    def ask(module, inputs, output):
        output[0].sum().item()

    model.engine.model.base_model.register_forward_hook(ask)
    stream, told, batch = torch.cuda.current_stream(), StringIO(), mixed_requests(20)
    with redirect_stderr(told):
        readings = [reading for of_one in model.read_thoughts(batch) for reading in of_one]
    wanted = [reading for of_one in exact.read_thoughts(batch) for reading in of_one]
    return {
        "told": told.getvalue().strip(),
        "decoding then": model.engine.decoder.how,
        "stream restored": torch.cuda.current_stream() == stream,
        **differences(readings, wanted),
    }


def memory(bench) -> list[dict]:
    """Peak of a batch, predicted and measured, at several numbers of rows and tokens."""
    model, found = bench.load(bench.large), []
    model.read_thoughts(long_requests(model.encoder, 1, 64, 8))  # loads what the first use loads
    for tokens in bench.step_tokens:
        for rows in bench.memory_rows:
            batch = long_requests(model.encoder, rows, tokens, 24)
            needed = max(model.encoder.tokens_needed(batch))
            model.engine.decoder.release()
            gc.collect()
            return_freed_memory()
            predicted = model.predicted_peak_bytes(rows, needed, readings=1)
            found.append({"rows": rows, "tokens": needed, "predicted": predicted, "measured": None, "reason": None})
            if bench.on_gpu and predicted - model.engine.memory.weights > 0.95 * torch.cuda.mem_get_info()[0]:
                found[-1]["reason"] = "would not fit"
                continue
            with peak_of_memory(model) as measured:
                model.read_thoughts(batch)
            found[-1]["measured"] = measured()
            found[-1]["reason"] = None if found[-1]["measured"] else "this system does not measure a process's peak"
    return found


def long_requests(encoder, rows: int, prompt_tokens: int, cap: int) -> list[ThoughtRequest]:
    """Thoughts whose prompts have about so many tokens."""
    repeated = max(1, prompt_tokens // len(encoder.encode_plain("kem>bod ")))
    return [ThoughtRequest("kem>bod " * repeated, (cap,), READOUTS, f"row {n}") for n in range(rows)]


@contextmanager
def peak_of_memory(model):
    """Gives a function: bytes at the peak of the block, on a CPU of the process; None if the system does not say."""
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        yield torch.cuda.max_memory_allocated
        return
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the peak
    except OSError:  # not Linux
        yield lambda: None
        return
    yield resident_peak


def return_freed_memory() -> None:
    """To the system, where the C library can: freed memory that a process keeps would hide new memory."""
    with suppress(OSError, AttributeError):  # not Linux, or not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident_peak() -> int:
    """Largest memory of this process in bytes since the peak was reset."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def step_times(bench) -> list[dict]:
    """Milliseconds per decode step, and the share of the floor: the bytes it has to read at the bandwidth of a copy."""
    model, steps, found = bench.load(bench.large), 16, []
    bandwidth = copy_bandwidth(model.device) if bench.on_gpu else None
    decoder = CappedDecoder(  # without a closing tag, so that every row takes every step
        model.engine.model, None, [], model.engine.decoder.pad_id, SAMPLING, model.engine.decoder.how
    )
    for rows in bench.step_rows:
        for tokens in bench.step_tokens:
            entry = {"rows": rows, "tokens": tokens, "ms": None, "share of the floor": None}
            entry["reason"] = None if bench.on_gpu else f"the floor {NEEDS_CUDA}"
            found.append(entry)
            decoder.release()
            gc.collect()
            if bench.on_gpu:
                torch.cuda.empty_cache()
                if model.engine.memory.rows_that_fit(torch.cuda.mem_get_info()[0], tokens + steps) < rows:
                    entry["reason"] = "would not fit"
                    continue
            seconds = fastest_step(decoder, rows, tokens, steps)
            moved = weights_of_a_step(model) + rows * (tokens + steps / 2) * model.engine.memory.cache_per_token
            entry["ms"] = 1000 * seconds
            entry["share of the floor"] = bandwidth and moved / bandwidth / seconds
    return found


@torch.inference_mode()
def fastest_step(decoder, rows, tokens, steps) -> float:
    """Seconds of a step, the best of three thoughts; two thoughts before them capture the shapes."""
    found = []
    for repetition in range(5):
        with Meter(decoder) as meter:
            decoder.think([Thought([5] * tokens, steps + 1, f"{n}") for n in range(rows)])
        found += [meter.seconds["decode"] / meter.passes["decode"]] if repetition >= 2 else []
    return min(found)


@torch.inference_mode()
def projection(bench) -> dict:
    """A pass of read-outs times a part of the output layer: as the program does it, and with copies in float32.

    Milliseconds, the best of five; and the largest error of a logit against float64, as a share of the largest logit.
    """
    weight = bench.load(bench.large).engine.model.get_output_embeddings().weight[:VOCABULARY_CHUNK]
    torch.manual_seed(0)
    states = torch.randn(FORK_TOKENS // 2, weight.shape[1], dtype=weight.dtype, device=weight.device)
    exact = states[:64].double() @ weight.double().T
    ways = {"as run": float32_product, "copied": lambda one, other: one.float() @ other.float().T}
    found = {"rows": len(states), "tokens": len(weight)}
    for name, way in ways.items():
        seconds, logits = [], way(states, weight)
        for _ in range(5):
            if bench.on_gpu:
                torch.cuda.synchronize()
            started = time.perf_counter()
            logits = way(states, weight)
            if bench.on_gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        error = (logits[:64].double() - exact).abs().max() / exact.abs().max()
        found[name] = {"ms": 1000 * min(seconds), "error": error.item()}
    return found


def faster_steps(bench) -> list[dict]:
    """Ways that could make a decode step faster, each beside the way as run."""
    config, found = PromptEncoder.load(bench.large).config, []
    if not isinstance(config, Qwen3Config):
        raise RuntimeError("for models of Qwen3's architecture")
    for rows in bench.step_rows:
        for tokens in bench.step_tokens[:2]:
            ways = layer_ways(config, config.dtype, bench.device, rows, tokens)
            found.append({"rows": rows, "tokens": tokens, **ways})
    return found


def whole_run(bench) -> dict:
    """A run of demo questions: seconds of the wall, by kind of pass, and in the device's kernels."""
    model = bench.load(bench.large)
    questions = select_questions(load_questions(run_experiment.DEMO["DATASET"], None, "").questions, 16, 1)
    units, cells = make_units(questions, 1, 1), make_cells([64 if bench.on_gpu else 16], [0, 0.5, 1])
    compute_records(model, units[:2], cells, 1, 2)
    with Meter(model.engine.decoder) as meter:
        started = time.perf_counter()
        compute_records(model, units, cells, 1, len(units))
        wall = time.perf_counter() - started
    device = None
    if bench.on_gpu:  # once more: the profiler slows the host down
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            compute_records(model, units, cells, 1, len(units))
        device = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    host = None if device is None else max(0.0, wall - device)
    reason = None if bench.on_gpu else f"the time in kernels {NEEDS_CUDA}"
    return {"seconds": wall, "by kind": meter.seconds, "in kernels": device, "host alone": host, "reason": reason}


PARTS = {
    "attention backends": (backends, False),
    "stepping": (stepping, False),
    "synchronisations": (synchronisations, True),
    "failed capture": (failed_capture, True),
    "memory": (memory, False),
    "step times": (step_times, False),
    "projection of read-outs": (projection, False),
    "ways to a faster step": (faster_steps, False),
    "whole run": (whole_run, False),
}


# --- the table ------------------------------------------------------------------------------------------------------


def measure(bench) -> dict:
    """Per part its result, or None and the reason. A part that fails does not stop the others."""
    found = {}
    for name, (part, needs_cuda) in PARTS.items():
        print(f"  {name} ...", file=sys.stderr, flush=True)
        if needs_cuda and not bench.on_gpu:
            found[name] = {"result": None, "reason": NEEDS_CUDA}
            continue
        try:
            found[name] = {"result": part(bench), "reason": None}
        except (RuntimeError, MemoryError) as error:
            found[name] = {"result": None, "reason": f"{type(error).__name__}: {error}".splitlines()[0]}
        gc.collect()
        if bench.on_gpu:
            torch.cuda.empty_cache()
    return found


def table(parts: dict) -> str:
    """A line per number: part, what, value."""
    lines = []
    for name, part in parts.items():
        if part["result"] is None:
            lines.append((name, "", f"- ({part['reason']})"))
        rows = part["result"] if isinstance(part["result"], list) else [part["result"] or {}]
        for row in rows:
            at = ", ".join(f"{row[key]} {key}" for key in ("rows", "tokens") if key in row)
            for what, value in row.items():
                if what not in ("rows", "tokens") and (what, value) != ("reason", None):
                    lines.append((name, f"{at}: {what}" if at else what, shown(value)))
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return "\n".join(f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third}" for first, second, third in lines)


def shown(value) -> str:
    """A value in the table; "-" if it was not measured."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def main(argv: list[str]) -> dict:
    """Measures, prints the table, writes the JSON; returns what it wrote."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-name", default="", help="the large model; empty = random weights")
    parser.add_argument("--shape", choices=SHAPES, help="of the random large model; 4b on a GPU, tiny on a CPU")
    parser.add_argument("--step-rows", type=int, nargs="+", help="40 173 512 on a GPU")
    parser.add_argument("--step-tokens", type=int, nargs="+", help="of the prompts; 128 350 1000 on a GPU")
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"))
    args = parser.parse_args(argv)
    prepare_libraries()
    check_no_gpu_is_left_out()
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    on_gpu = device != "cpu"
    print(device_line(device, 1), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        small, large = Path(temporary) / "small", Path(temporary) / "large"
        shape, dtype = args.shape or ("4b" if on_gpu else "tiny"), torch.bfloat16 if on_gpu else torch.float32
        bench = Bench(
            small=write_random_model(small, "small" if on_gpu else "tiny", torch.float32, device),
            large=args.model_name or write_random_model(large, shape, dtype, device),
            device=device,
            step_rows=args.step_rows or ([40, 173, 512] if on_gpu else [5, 16]),
            step_tokens=args.step_tokens or ([128, 350, 1000] if on_gpu else [32, 128]),
            memory_rows=[40, 173] if on_gpu else [5, 40],
        )
        parts = measure(bench)
    result = {
        "settings": {"model_name": args.model_name or None, "shape": None if args.model_name else shape},
        "device": provenance.device_name(torch.device(device)),
        "versions": provenance.versions(),
        "parts": parts,
    }
    args.output.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(table(parts))
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
