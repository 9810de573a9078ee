"""Seconds and memory of `--cascade` at scale: made-up records of an edge and a cloud run, read and searched.

    python -m benchmarks.benchmark_cascade                        # 10,000 questions x 5 permutations x 15 cells: 2.5 GB
    python -m benchmarks.benchmark_cascade --n-questions 1000

Prints seconds for reading both runs, and for the search, the halves and the intervals; wall time, and processor time,
which other programs on the machine lengthen less. The report, which `--cascade` writes in the end, is measured by
benchmark_summary. The records are made up: their figures mean nothing.
"""
import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from basics.files import write_json
from benchmarks.benchmark_summary import make_record, peak_megabytes
from cascade.analysis import analyse
from cascade.costs import read_costs
from cascade.run_answers import read_run
from runs.budgets import make_cells
from runs.results_folder import SCHEMA_VERSION

COSTS = ["0.05/M", "0.5/M", "1"]
TARGET_ERROR = 0.1
N_TEMPLATES = 50  # records of a cell that differ but for their question


def write_run(folder: Path, cells: list, n_questions: int, n_permutations: int, rng: np.random.Generator) -> str:
    """A folder that `--cascade` takes for a finished run; returns its path. Runs of as many questions have the same."""
    folder.mkdir()
    made = [[template(cell, rng) for _ in range(N_TEMPLATES)] for cell in cells]
    with open(folder / "records.jsonl", "w", encoding="utf-8") as file:
        for number in range(n_questions):
            for permutation in range(n_permutations):
                for of_cell in made:
                    line = of_cell[int(rng.integers(N_TEMPLATES))]
                    file.write(line.replace('"#"', f'"question {number}"').replace('"@"', str(permutation)) + "\n")
    names = [{"total_budget": one.total_budget, "answer_thinking_ratio": one.answer_thinking_ratio} for one in cells]
    write_json(folder / "summary.json", {"cells": []})
    write_json(folder / "config.json", {
        "settings": {"model_name": "made-up"}, "processes": [], "questions": {"used": n_questions},
        "identity": {"cells": names, "n_permutations": n_permutations, "n_thoughts": 1,
                     "schema_version": SCHEMA_VERSION},
    })  # fmt: skip
    return str(folder)


def template(cell, rng: np.random.Generator) -> str:
    """A record as JSON with # for its question and @ for its permutation; making each one anew would take minutes."""
    record = make_record(0, 0, cell, rng)
    outcome = {"correct_option": 0, "predicted_option": int(not record["is_correct"])}
    return json.dumps(record | outcome | {"question_id": "#", "permutation": "@"})


def timed(what: str, function):
    """What the function returns; prints its seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    print(f"{what}: {time.perf_counter() - wall:.1f} s, of them {time.process_time() - cpu:.1f} s of this process")
    return result


def main(argv: list[str]) -> int:
    """Makes the runs, then measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-questions", type=int, default=10_000)
    parser.add_argument("--n-permutations", type=int, default=5)
    parser.add_argument("--total-budgets", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--ratios", type=float, nargs="+", default=[0, 0.25, 0.5, 0.75, 1])
    args = parser.parse_args(argv)
    cells, rng = make_cells(args.total_budgets, args.ratios), np.random.default_rng(0)
    size = (args.n_questions, args.n_permutations)
    with tempfile.TemporaryDirectory() as folder:
        edge = write_run(Path(folder, "edge"), make_cells([0], [0]), *size, rng)
        cloud = write_run(Path(folder, "cloud"), cells, *size, rng)
        print(f"{size[0]:,} questions x {size[1]} permutations, an edge of 1 cell and a cloud of {len(cells)}")
        runs = timed("reading", lambda: [read_run(edge), read_run(cloud)])
        tiers, expert_cost = read_costs(COSTS, len(runs))
        timed("search, halves and intervals", lambda: analyse(runs, tiers, expert_cost, TARGET_ERROR, 42))
        print(f"peak memory {peak_megabytes():,.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
