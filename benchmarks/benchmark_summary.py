"""Seconds and memory of the summary at scale: made-up records, read, scored, drawn and reported as after a real run.

    python -m benchmarks.benchmark_summary                                # 1,000 questions x 5 permutations x 20 cells
    python -m benchmarks.benchmark_summary --n-questions 20000 --n-permutations 1 --ratios 0.5

Prints seconds for parsing (reading every line of records.jsonl once, as JSON), for columns and metrics, for the figures
and for the report, and the peak resident memory. The records are made up: their figures mean nothing.
"""
import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from basics.files import write_json
from evaluation_tool import summarise
from report.figures import draw_figures
from report.page import write_report
from runs.budgets import make_cells
from runs.journal import read_records
from scoring.fields import in_order
from scoring.record_schema import CELL_NAMES, MASS_NAMES, RECORD_FIELDS

THOUGHT_WORDS = 100  # tokens per thought, each a word of the text
TARGET_ERROR = 0.05
WRONG_ANSWER_COSTS = (1, 9, 19)


def stage_fields(stage: str, cap: int, rng: np.random.Generator) -> dict:
    """The fields of one stage of a record."""
    used = min(cap, int(rng.integers(1, 2 * THOUGHT_WORDS)))
    return {
        f"{stage}_thinking": " thought" * used,
        f"{stage}_thinking_ids": rng.integers(150_000, size=used).tolist(),
        f"{stage}_thinking_tokens": used,
        f"{stage}_stopped": "none" if cap == 0 else "capped" if used == cap else "natural",
        f"{stage}_prompt_tokens": 150,
        f"{stage}_injected_tokens": 26,
        f"{stage}_readout_tokens": 14,
    }


def make_record(number: int, permutation: int, cell, rng: np.random.Generator) -> dict:
    """A record with four options whose confidences are about calibrated."""
    probabilities = rng.dirichlet((2, 1, 1, 1))
    predicted, is_correct = int(probabilities.argmax()), bool(rng.random() < probabilities.max())
    confidences = np.clip(probabilities.max() + 0.1 * rng.standard_normal(3), 0, 1)
    values = {
        "question_id": f"question {number}",
        "category": f"category {number % 5}",
        "permutation": permutation,
        "thought": 0,
        **{name: getattr(cell, name) for name in CELL_NAMES},
        "question": f"What is the purpose of procedure {number} in this made-up standard, and who starts it?",
        "options": [f"It is started by entity {letter} of the network" for letter in "ABCD"],
        "option_order": [0, 1, 2, 3],
        "correct_option": predicted if is_correct else (predicted + 1) % 4,
        "predicted_option": predicted,
        "is_correct": is_correct,
        "answer_probabilities": probabilities.tolist(),
        "answer_probability": float(probabilities.max()),
        **dict.fromkeys(MASS_NAMES, 0.9),
        "confidence": round(float(confidences[0]), 2),
        "confidence_expectation": float(confidences[1]),
        "p_true": float(confidences[2]),
        **stage_fields("answer", cell.answer_budget, rng),
        **stage_fields("confidence", cell.confidence_budget, rng),
        "error": None,
    }
    return in_order(RECORD_FIELDS, values)


def peak_megabytes() -> float:
    """Largest resident set of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: list[str]) -> int:
    """Makes the records, then measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-questions", type=int, default=1000)
    parser.add_argument("--n-permutations", type=int, default=5)
    parser.add_argument("--total-budgets", type=int, nargs="+", default=[100, 200, 300, 400])
    parser.add_argument("--ratios", type=float, nargs="+", default=[0, 0.25, 0.5, 0.75, 1])
    args = parser.parse_args(argv)
    cells, rng = make_cells(args.total_budgets, args.ratios), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            for number in range(args.n_questions):
                for permutation in range(args.n_permutations):
                    for cell in cells:
                        file.write(json.dumps(make_record(number, permutation, cell, rng)) + "\n")
        before, started = peak_megabytes(), time.perf_counter()
        n_records = sum(1 for _ in read_records(path))
        parsing = time.perf_counter() - started
        started = time.perf_counter()
        summary = summarise(read_records(path), TARGET_ERROR, 42, wrong_answer_costs=WRONG_ANSWER_COSTS)
        scoring = time.perf_counter() - started - parsing
        n = args.n_questions
        summary["run"] = {
            "is_demo": False, "settings": {"model_name": "made-up", "DATASET": "made-up"}, "identity": {},
            "questions": {"loaded": n, "used": n, "n_skipped": 0, "skipped": [], "notes": []}, "processes": [],
        }  # fmt: skip
        write_json(Path(folder, "summary.json"), summary)
        started = time.perf_counter()
        draw_figures(Path(folder))
        drawing = time.perf_counter() - started
        print(f"{n_records:,} records, {path.stat().st_size / 1e6:,.0f} MB of JSON")
        print(f"parsing {parsing:.1f} s, columns and metrics {scoring:.1f} s, figures {drawing:.1f} s")
        print(f"peak memory {peak_megabytes():,.0f} MB, of which {before:,.0f} MB before the records were read")
        started = time.perf_counter()
        page = write_report(Path(folder))
        print(f"report {time.perf_counter() - started:.1f} s, {page.stat().st_size / 1e6:,.0f} MB", end="")
        print(f", peak memory with it {peak_megabytes():,.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
