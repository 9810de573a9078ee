"""How fast this program thinks, compared with transformers alone.

    python -m benchmarks.benchmark_generation                                # the built-in demo
    python -m benchmarks.benchmark_generation --model-name FOLDER --dataset FILE --output table.json

The same model, questions, caps and sampling settings for every arm; the arms take turns, and medians are compared.
(a) one question at a time, two `model.generate` calls per stage: think up to the cap, append the closing, generate on;
(b) the same in left-padded batches, of the best of the sizes given; (c) the same with `model.generate_batch`;
(d) this program. (a) to (c) write `--answer-tokens` of answer after a thought where (d) reads it out, and run a sweep
cell by cell. If they write no letter, they judge the first option.
"""
import argparse
import json
import re
import resource
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from transformers import ContinuousBatchingConfig, GenerationConfig

import run_experiment
from benchmarks.meter import Meter
from evaluation_tool import answer_prompt, confidence_prompt
from hugging_face_model import HuggingFaceModel
from questions.question_sets import load_questions, select_questions
from runs.budgets import make_cells
from runs.computation import compute_records
from runs.units import make_units
from thinking.libraries import prepare_libraries
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling

SAMPLING = Sampling(run_experiment.TEMPERATURE, run_experiment.TOP_P, run_experiment.TOP_K)
SEED = run_experiment.SEED
COUNTS = ("prompt_tokens", "sampled_tokens", "injected_tokens", "answer_tokens", "passes")


# --- (a) to (c): two calls of generate per stage -----------------------------------------------------------------


class Recipe:
    """Qwen's recipe for a thinking budget. generate(prompts, limit, stops) -> new ids per prompt, stops cut off."""

    def __init__(self, model: HuggingFaceModel, answer_tokens: int):
        self.model, self.encoder, self.answer_tokens = model.engine.model, model.encoder, answer_tokens
        self.device, self.counts = model.device, dict.fromkeys(COUNTS, 0)
        self.end_id = self.encoder.tokenizer.eos_token_id

    def run(self, units, cells, generate):
        """Every unit in every cell, cell by cell."""
        for cell in cells:
            answers = self._stage([answer_prompt(u.question, u.options) for u in units], cell.answer_budget, generate)
            proposals = [_letter(text, len(unit.options)) for text, unit in zip(answers, units, strict=True)]
            prompts = [confidence_prompt(u.question, u.options, p) for u, p in zip(units, proposals, strict=True)]
            self._stage(prompts, cell.confidence_budget, generate)

    def _stage(self, texts, cap, generate):
        prompts = [self.encoder.encode_prompt(text, cap > 0).ids for text in texts]
        self.counts["prompt_tokens"] += sum(map(len, prompts))
        if cap:
            thoughts = generate(prompts, cap, [self.encoder.think_close_id, self.end_id])
            self.counts["sampled_tokens"] += sum(map(len, thoughts))
            for prompt, thought in zip(prompts, thoughts, strict=True):
                closing = self.encoder.encode_closing("capped" if len(thought) == cap else "natural")
                self.counts["injected_tokens"] += len(closing)
                prompt += thought + closing
        answers = generate(prompts, self.answer_tokens, [self.end_id])
        self.counts["answer_tokens"] += sum(map(len, answers))
        return [self.encoder.decode(ids) for ids in answers]

    def in_batches(self, rows):
        """(a) with one row, (b) with more: left-padded batches through `model.generate`."""
        def generate(prompts, limit, stops):
            found = []
            for start in range(0, len(prompts), rows):
                found += self._generate(prompts[start : start + rows], limit, stops)
            return found

        return generate

    def _generate(self, prompts, limit, stops):
        width = max(map(len, prompts))
        ids = np.full((len(prompts), width), stops[0])
        mask = np.zeros((len(prompts), width), dtype=np.int64)
        for index, prompt in enumerate(prompts):
            ids[index, width - len(prompt) :], mask[index, width - len(prompt) :] = prompt, 1
        new = self.model.generate(
            input_ids=torch.from_numpy(ids).to(self.device),
            attention_mask=torch.from_numpy(mask).to(self.device),
            generation_config=self._settings(limit, stops),
        )[:, width:]
        return [_until(line, stops) for line in new.tolist()]

    def continuously(self, prompts, limit, stops):
        """(c): all prompts through `model.generate_batch`."""
        paging = None
        if self.device.type == "cpu":  # by default it allocates 10 GB of cache at every call, which takes a minute
            blocks = sum(-(-(len(prompt) + limit) // 32) for prompt in prompts)
            paging = ContinuousBatchingConfig(page_size=32, num_blocks=blocks + 8, max_batch_tokens=2048)
        outputs = self.model.generate_batch(
            inputs=prompts, generation_config=self._settings(limit, stops), continuous_batching_config=paging
        )
        # Named in the order they were given: req_0, req_1, ...
        ordered = sorted(outputs.values(), key=lambda output: int(output.request_id.rsplit("_", 1)[1]))
        if len(ordered) != len(prompts):
            raise RuntimeError(f"{len(prompts)} prompts, {len(ordered)} answers")
        if failed := [output.error for output in ordered if output.error]:
            raise RuntimeError(f"generate_batch failed on {len(failed)} of {len(prompts)} prompts: {failed[0]}")
        return [_until(output.generated_tokens, stops) for output in ordered]

    def _settings(self, limit, stops):
        return GenerationConfig(
            do_sample=True, **asdict(SAMPLING), max_new_tokens=limit,
            eos_token_id=stops, pad_token_id=stops[0],
        )  # fmt: skip


def _until(ids, stops):
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


def _letter(text, n_options):
    found = re.search(r"Answer:\s*([A-Z])", text) or re.search(r"\b([A-Z])\b", text)
    option = ord(found[1]) - ord("A") if found else 0
    return option if option < n_options else 0


# --- the arms ----------------------------------------------------------------------------------------------------


def run_recipe(model, units, cells, answer_tokens, how) -> dict:
    """Counts of an arm (a) to (c). how: rows of a batch, or "continuous"."""
    recipe = Recipe(model, answer_tokens)
    counter = model.engine.model.base_model.register_forward_hook(lambda *_: _add(recipe.counts, "passes", 1))
    try:
        recipe.run(units, cells, recipe.continuously if how == "continuous" else recipe.in_batches(how))
    finally:
        counter.remove()
    return recipe.counts


def run_program(model, units, cells, rows) -> dict:
    """Counts of arm (d), from its meter and its records: a thought that several cells share was sampled once."""
    longest = {}
    counts = dict.fromkeys(COUNTS, 0)
    with Meter(model.engine.decoder) as meter:
        starts = range(0, len(units), rows)
        batches = [compute_records(model, units[start : start + rows], cells, SEED, rows) for start in starts]
    for batch in batches:
        for record in (record for of_unit in batch for record in of_unit):
            for stage in ("answer", "confidence"):
                proposal = record["predicted_option"] if stage == "confidence" else None
                key = (record["question_id"], record["permutation"], stage, proposal)
                longest[key] = max(longest.get(key, 0), _samples(record, stage))
                counts["injected_tokens"] += record[f"{stage}_injected_tokens"]
                counts["prompt_tokens"] += record[f"{stage}_prompt_tokens"]
                counts["answer_tokens"] += record[f"{stage}_readout_tokens"]
    counts["sampled_tokens"] = meter.sampled_tokens
    return {
        **counts,
        "passes": sum(meter.passes.values()),
        "passes_by_kind": meter.passes,
        "seconds_by_kind": meter.seconds,
        "lower_bound_of_sampled_tokens": sum(longest.values()),
        "cached_tokens_read": meter.cached_tokens_read,
    }


def _samples(record, stage):
    """Samples that the thought took at its cap; a natural closing tag took one."""
    return record[f"{stage}_thinking_tokens"] + (record[f"{stage}_stopped"] == "natural")


def _add(counts, name, number):
    counts[name] += number


def timed(model, run) -> dict:
    """Counts, seconds of the wall and of the processor, and the peak of memory in bytes (on a CPU since the start)."""
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    torch.manual_seed(SEED)
    wall, processor = time.perf_counter(), time.process_time()
    counts = run()
    if on_gpu:
        torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        **counts,
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "peak_bytes": peak,
    }


def compare(model, units, cells, args, arms, rows_of_b) -> dict:
    """Per arm its runs, which take turns; for an arm that cannot run, the reason."""
    ways = {
        "a": lambda: run_recipe(model, units, cells, args.answer_tokens, 1),
        "b": lambda: run_recipe(model, units, cells, args.answer_tokens, rows_of_b),
        "c": lambda: run_recipe(model, units, cells, args.answer_tokens, "continuous"),
        "d": lambda: run_program(model, units, cells, args.rows or model.rows_that_fit(0)),
    }
    found = {arm: [] for arm in arms}
    for repetition in range(args.repetitions):
        for arm in arms if repetition % 2 == 0 else arms[::-1]:
            if isinstance(found[arm], str):
                continue
            try:
                found[arm].append(timed(model, ways[arm]))
            except (RuntimeError, ValueError, TypeError, ImportError) as error:
                if arm != "c":
                    raise
                found[arm] = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"  {arm} {found[arm] if isinstance(found[arm], str) else found[arm][-1]}", flush=True)
    return found


# --- the floor, on a GPU -----------------------------------------------------------------------------------------


def floor_of_decoding(model, run: dict) -> dict | None:
    """The bytes that decoding has to move, the bandwidth of a copy, and the share of this floor; None on a CPU."""
    if model.device.type != "cuda":
        return None
    moved = run["passes_by_kind"]["decode"] * weights_of_a_step(model)
    moved += run["cached_tokens_read"] * model.engine.memory.cache_per_token
    bandwidth = copy_bandwidth(model.device)
    return {
        "bytes": moved,
        "copy_bytes_per_second": bandwidth,
        "share": moved / bandwidth / run["seconds_by_kind"]["decode"],
    }


def weights_of_a_step(model) -> int:
    """Bytes of the weights that a decode step reads: all but an embedding that is not the output layer too."""
    layer = model.engine.model.get_output_embeddings().weight
    weights = sum(p.numel() * p.element_size() for p in model.engine.model.base_model.parameters())
    if layer.data_ptr() != model.engine.model.get_input_embeddings().weight.data_ptr():
        weights += layer.numel() * layer.element_size()
    return weights


def copy_bandwidth(device) -> float:
    """Bytes per second that a GPU reads and writes while it copies 2 GiB."""
    source = torch.empty(2**31, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    target.copy_(source)
    begin.record()
    for _ in range(20):
        target.copy_(source)
    end.record()
    torch.cuda.synchronize()
    return 20 * 2 * source.numel() / (begin.elapsed_time(end) / 1000)


# --- the table ---------------------------------------------------------------------------------------------------


def table(title: str, found: dict) -> str:
    """Medians per arm, and how many times as long as (d) each takes."""
    lines = [title, f"{'arm':<5}{'seconds':>9}{'x (d)':>8}{'cpu s':>8}{'x (d)':>8}{'passes':>9}{'prompt':>10}"]
    lines[1] += f"{'sampled':>9}{'injected':>10}{'answer':>9}{'tokens/s':>10}{'peak MB':>9}"
    median = {
        arm: {name: statistics.median(run[name] for run in runs) for name in ("seconds", "processor_seconds")}
        for arm, runs in found.items()
        if not isinstance(runs, str)
    }
    for arm, runs in found.items():
        if isinstance(runs, str):
            lines.append(f"({arm})  did not run: {runs}")
            continue
        wall, processor = median[arm].values()
        line = f"({arm})  {wall:>9.2f}{wall / median['d']['seconds']:>8.2f}"
        line += f"{processor:>8.2f}{processor / median['d']['processor_seconds']:>8.2f}{runs[0]['passes']:>9,}"
        line += f"{runs[0]['prompt_tokens']:>10,}{runs[0]['sampled_tokens']:>9,}{runs[0]['injected_tokens']:>10,}"
        line += f"{runs[0]['answer_tokens']:>9,}{runs[0]['sampled_tokens'] / wall:>10,.0f}"
        lines.append(line + f"{max(run['peak_bytes'] for run in runs) / 1e6:>9,.0f}")
    return "\n".join(lines)


def best_batch(model, units, cells, args) -> int:
    """The fastest of the sizes given for (b), from one run of each."""
    if len(args.batch_sizes) == 1:
        return args.batch_sizes[0]
    seconds = {}
    for rows in args.batch_sizes:
        run = timed(model, lambda rows=rows: run_recipe(model, units, cells, args.answer_tokens, rows))
        seconds[rows] = run["processor_seconds" if model.device.type == "cpu" else "seconds"]
    print(f"Seconds of (b) by rows of a batch: {seconds}", flush=True)
    return min(seconds, key=seconds.get)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-name", default=run_experiment.DEMO["model_name"])
    parser.add_argument("--dataset", default=run_experiment.DEMO["DATASET"])
    parser.add_argument("--questions", type=int, default=32, help="of the single cell")
    parser.add_argument("--cell", type=float, nargs=2, default=(200, 0.5), help="total budget and ratio")
    parser.add_argument("--sweep-questions", type=int, default=8, help="0 = no sweep")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--ratios", type=float, nargs="+", default=[0, 0.25, 0.5, 0.75, 1])
    parser.add_argument("--arms", default="abcd", help="of the single cell, such as bd")
    parser.add_argument("--sweep-arms", default="bcd")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 32, 64], help="of (b); the best is taken")
    parser.add_argument("--rows", type=int, default=0, help="of (d); 0 = as the program chooses")
    parser.add_argument("--answer-tokens", type=int, default=8, help="that (a) to (c) may write after a thought")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--decoding", default="", help="of (d): eager, padded or captured; empty = the best")
    parser.add_argument("--output", type=Path, default=Path("benchmark.json"))
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Measures a single cell and a sweep; prints their tables and writes them as JSON; returns the exit status."""
    args = parse_arguments(argv)
    torch.set_num_threads(args.threads)
    prepare_libraries()
    model = HuggingFaceModel(PromptEncoder.load(args.model_name), SAMPLING, decoding=args.decoding)
    model.limit_threads()
    questions = load_questions(args.dataset, None, run_experiment.DATASET_SPLIT).questions
    result = {"settings": {**vars(args), "output": str(args.output)}, "versions": [torch.__version__], "tables": {}}
    one_cell = make_cells([int(args.cell[0])], [args.cell[1]])
    sweep = make_cells(args.budgets, args.ratios)
    for name, n, cells, arms in (
        ("single cell", args.questions, one_cell, args.arms),
        ("sweep", args.sweep_questions, sweep, args.sweep_arms),
    ):
        if not n:
            continue
        units = list(make_units(select_questions(questions, n, SEED), 1, SEED))
        timed(model, lambda units=units, cells=cells: run_program(model, units[:2], cells[:1], 2))  # warm
        rows_of_b = best_batch(model, units, one_cell, args) if "b" in arms else 0
        found = compare(model, units, cells, args, arms, rows_of_b)
        floors = [floor_of_decoding(model, run) for run in found["d"]]
        result["tables"][name] = {"n_cells": len(cells), "rows_of_b": rows_of_b, "arms": found, "floor": floors}
        title = f"{name}: {n} questions, {len(cells)} cell(s), (b) in batches of {rows_of_b}"
        print(table("\n" + title, found), flush=True)
        for run, floor in zip(found["d"], floors, strict=True):
            print("(d) by kind:", run["passes_by_kind"], {k: round(v, 3) for k, v in run["seconds_by_kind"].items()})
            print(f"(d) sampled {run['sampled_tokens']:,}, bound {run['lower_bound_of_sampled_tokens']:,}", floor or "")
        args.output.write_text(json.dumps(result, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
