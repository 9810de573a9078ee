"""This program's decoder, vLLM with its draws, and Qwen's two-call recipe side by side; needs an environment with vLLM.

    taskset --cpu-list 0 .venv-vllm/bin/python -m benchmarks.benchmark_engines --questions 64 --rounds 3
    ... --model-name FOLDER --dataset FILE --total-budget 100 200 400 --ratio 0 0.25 0.5 0.75 1 --arms ours vllm

All in one process tree on the same cores, in turns. Wall seconds, and what was sampled, computed and found in vLLM's
prefix cache, which is emptied before each turn. The recipe runs cell by cell in batches (arm b of
benchmark_generation). On one core (taskset) vLLM's frontend, engine core and worker share what this program's
decoder has alone.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

import run_experiment
from benchmarks.benchmark_generation import SAMPLING, SEED, run_recipe
from hugging_face_model import HuggingFaceModel
from questions.question_sets import load_questions, select_questions
from runs.budgets import make_cells
from runs.computation import Computation, open_journal
from runs.in_flight import ComputationInFlight
from runs.journal import read_records
from runs.units import make_units, make_workload
from thinking.libraries import prepare_libraries
from thinking.prompt_encoder import PromptEncoder
from thinking.vllm_engine.in_process import InProcess
from thinking.vllm_engine.model import VllmModel

ARMS = ("ours", "vllm", "recipe")


def main(argv: list[str]) -> int:
    """Measures, prints and writes the table; returns the exit status."""
    arguments = _arguments(argv)
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    prepare_libraries()
    torch.set_num_threads(1)
    encoder = PromptEncoder.load(arguments.model_name)
    cells = make_cells(arguments.total_budget, arguments.ratio)
    questions = select_questions(load_questions(arguments.dataset, None, "test").questions, arguments.questions, SEED)
    workload = make_workload(make_units(questions, 1, SEED), encoder, cells)
    units, rows = workload.units, arguments.rows
    ours = HuggingFaceModel(encoder, SAMPLING, "cpu") if {"ours", "recipe"} & set(arguments.arms) else None
    vllm = None
    if "vllm" in arguments.arms:
        vllm = VllmModel(encoder, SAMPLING, InProcess(encoder, workload.tokens_per_row), workload.tokens_per_row)
    if ours:
        ours.reserve(workload.tokens_per_row)

    def run(arm):
        if arm == "recipe":
            return {"sampled_tokens": run_recipe(ours, units, cells, 8, rows)["sampled_tokens"]}
        kind, model = (Computation, ours) if arm == "ours" else (ComputationInFlight, vllm)
        if arm == "vllm":
            vllm.transport.empty_cache()
            vllm.transport.counts.clear()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "records.jsonl"
            computation = kind(model, cells, SEED, rows, open_journal(path, units, cells), len(units) * len(cells))
            sampled = sum(tokens for _, tokens in computation.batches(units))
            n_records = sum(1 for _ in read_records(path))
        assert n_records == len(units) * len(cells)
        return {"sampled_tokens": sampled, **(dict(vllm.transport.counts) if arm == "vllm" else {})}

    seconds, counts = {arm: [] for arm in arguments.arms}, {}
    for turn in range(arguments.rounds):
        for arm in arguments.arms if turn % 2 == 0 else arguments.arms[::-1]:
            started = time.perf_counter()
            counts[arm] = run(arm)
            seconds[arm].append(time.perf_counter() - started)
            print(f"round {turn + 1}, {arm}: {seconds[arm][-1]:.2f} s", file=sys.stderr, flush=True)
    if vllm:
        vllm.close()
    base = statistics.median(seconds[arguments.arms[0]])
    result = {
        arm: {"median_seconds": statistics.median(of_arm), "ratio": statistics.median(of_arm) / base, "seconds": of_arm,
              **counts[arm]}
        for arm, of_arm in seconds.items()
    }  # fmt: skip
    what = {"model": Path(arguments.model_name).name, "questions": len(units), "cells": len(cells), "rows": rows}
    print(json.dumps({**what, "arms": result}))
    if arguments.output:
        with open(arguments.output, "a", encoding="utf-8") as file:
            file.write(json.dumps({**what, "arms": result}) + "\n")
    return 0


def _arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-name", default=run_experiment.DEMO["model_name"])
    parser.add_argument("--dataset", default=run_experiment.DEMO["DATASET"])
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--total-budget", type=int, nargs="+", default=[200])
    parser.add_argument("--ratio", type=float, nargs="+", default=[0.5])
    parser.add_argument("--rows", type=int, default=64, help="prompts at a time, and questions in flight")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--output", help="a file to which a line of JSON is added")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
