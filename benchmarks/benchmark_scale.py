"""How the cost of a run grows with questions, caps, cells and rows: counts, seconds and memory, as fitted exponents.

    python -m benchmarks.benchmark_scale --output benchmarks/scale.json        # about six minutes on one core

The model is a tiny random Qwen3 whose thoughts hardly ever end by themselves, so that caps count. Each series changes
one size and keeps the others. The exponent b of a cost is that of the straight line through the logarithms of size and
cost: cost ~ size^b. Peak memory is what the computation adds to that of the process, where the system says it.
"""
import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.benchmark_host import made_up_encoder, made_up_rows
from benchmarks.gpu_check import peak_of_memory, return_freed_memory
from benchmarks.meter import Meter
from hugging_face_model import HuggingFaceModel
from questions.question_sets import load_questions
from runs.budgets import make_cells
from runs.computation import Computation, open_journal
from runs.earlier_records import EarlierRecords
from runs.units import make_units, make_workload
from thinking.libraries import keep_freed_memory, prepare_libraries
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling

SEED, SAMPLING = 42, Sampling(0.6, 0.95, 20)
SHAPE = {
    "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16,
}  # fmt: skip
HALF = (0.5,)
SIXTY = [number / 14 for number in range(15)]
# name of the size -> (size, questions, total budgets, ratios, rows)
SERIES = {
    "questions": [(n, n, [32], HALF, 64) for n in (100, 300, 1000, 3000, 10_000)],
    "caps": [(cap, 16, [cap], (1.0,), 16) for cap in (50, 100, 200, 400, 800, 1600)],
    "cells": [(n, 16, budgets, ratios, 16) for n, budgets, ratios in (
        (1, [120], SIXTY[7:8]), (5, [120], SIXTY[::3]), (15, [120], SIXTY), (30, [60, 120], SIXTY),
        (60, [30, 60, 90, 120], SIXTY),
    )],
    "rows": [(rows, 512, [32], HALF, rows) for rows in (8, 16, 32, 64, 128, 256, 512)],
}  # fmt: skip
COSTS = ("sampled_tokens", "fed_tokens", "passes", "processor_seconds", "peak_memory_bytes", "journal_bytes")


def made_up_model(folder: Path, rows: list[dict]) -> None:
    """A tiny random Qwen3 with a tokenizer learnt on the rows, saved into the folder."""
    tokenizer = made_up_encoder(rows).tokenizer
    torch.manual_seed(0)
    config = Qwen3Config(vocab_size=len(tokenizer), max_position_embeddings=4096, **SHAPE)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def costs(model: HuggingFaceModel, questions: list, budgets: list[int], ratios: tuple[float, ...], rows: int) -> dict:
    """COSTS of computing the questions in these cells, so many rows at a time; peak memory is None where unknown."""
    cells = make_cells(budgets, list(ratios))
    workload = make_workload(make_units(questions, 1, SEED), model.encoder, cells)
    model.engine.decoder.release()
    model.reserve(workload.tokens_per_row)
    return_freed_memory()
    before = model.predicted_peak_bytes(0, 0, 0) - model.engine.memory.batch(0, 0, 0)  # what the process takes
    with tempfile.TemporaryDirectory() as folder, Meter(model.engine.decoder) as meter, peak_of_memory(model) as peak:
        journal = open_journal(Path(folder, "records.jsonl"), workload.units, cells)
        run = Computation(model, EarlierRecords(cells), SEED, rows, journal, len(workload.units) * len(cells))
        started, started_wall = time.process_time(), time.perf_counter()
        for _ in run.batches(workload.units):
            pass
        seconds, wall = time.process_time() - started, time.perf_counter() - started_wall
        highest, n_bytes = peak(), journal.path.stat().st_size
    return {
        "sampled_tokens": meter.sampled_tokens,
        "fed_tokens": sum(meter.fed_tokens.values()),
        "passes": sum(meter.passes.values()),
        "processor_seconds": seconds,
        "wall_seconds": wall,
        "peak_memory_bytes": None if highest is None else highest - before,
        "journal_bytes": n_bytes,
    }


def exponent(sizes: list[float], values: list[float | None]) -> float | None:
    """Slope of the straight line through the logarithms; None where a value is missing or not above 0."""
    if any(value is None or value <= 0 for value in values):
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main(argv: list[str]) -> int:
    """Measures, prints and writes the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", choices=SERIES, default=list(SERIES))
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    arguments = parser.parse_args(argv)
    prepare_libraries()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "questions.jsonl")
        rows = made_up_rows(max(point[1] for series in SERIES.values() for point in series))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        made_up_model(Path(folder), rows)
        questions = load_questions(str(path), None, "test").questions
        model = HuggingFaceModel(PromptEncoder.load(folder), SAMPLING, "cpu")
        costs(model, questions[:8], [8], HALF, 8)  # loads what the first use loads
        for name in arguments.series:
            points = [{"size": size} | costs(model, questions[:n], *of_run) for size, n, *of_run in SERIES[name]]
            sizes = [point["size"] for point in points]
            slopes = {cost: exponent(sizes, [point[cost] for point in points]) for cost in COSTS}
            found[name] = {"points": points, "exponents": slopes}
            print(f"\n{name:>9}" + "".join(f"{cost:>20}" for cost in COSTS))
            for point in points:
                print(f"{point['size']:>9}" + "".join(_shown(point[cost]) for cost in COSTS))
            print(f"{'exponent':>9}" + "".join(_shown(slopes[cost]) for cost in COSTS), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _shown(value: float | None) -> str:
    if value is None:
        return f"{'-':>20}"
    return f"{value:>20,}" if isinstance(value, int) else f"{value:>20,.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
