"""`--cascade RUN RUN [RUN ...]`: from folders of finished runs to the answer, `cascade.json`, figure and report."""
from itertools import pairwise
from textwrap import fill

import numpy as np

from basics.errors import UserError, one_line
from basics.files import write_json
from cascade.analysis import analyse
from cascade.costs import read_costs
from cascade.run_answers import RunAnswers, read_run
from cascade.words import cascade_table
from report.cascade_results import CASCADE_FILE
from runs.finished_runs import save_dir_of
from runs.results_folder import only_writer

MAIN_READING = "wrong_of_automated"  # the risk whose table is printed; the file has both


def run_cascade(folders: list[str], cost_texts: list[str], target_error: float, seed: int) -> int:
    """Reads the runs, from cheap to dear, prints the answer and leaves it in the folder of the last; returns 0.

    Raises UserError if the runs or costs cannot be those of a cascade; nothing is written then.
    """
    from report.figures import draw_cascade_figure  # here: matplotlib takes half a second
    from report.index_page import update_index
    from report.page import write_cascade_into_report

    if len(folders) < 2:
        raise UserError("--cascade: one run; allowed are two or more, from the cheapest to the dearest")
    costs, expert_cost = read_costs(cost_texts, len(folders))
    runs = []
    for folder in folders:
        print(one_line(f"Reading {folder} ..."), flush=True)
        runs.append(read_run(folder))
    result = analyse(runs, costs, expert_cost, target_error, seed)
    for remark in remarks(runs, result):
        print(one_line(remark))
    last = runs[-1].folder
    with only_writer(last):
        write_json(last / CASCADE_FILE, result)
        draw_cascade_figure(last)
        report = write_cascade_into_report(last)
    print(f"\n{cascade_table(result, MAIN_READING)}")
    print(f"* the cheapest by the other half, {result['readings'][MAIN_READING]['meaning']}\n")
    for reading in result["readings"].values():
        print(fill(reading["answer"], 110) + "\n")
    print(f"Cascade: {last / CASCADE_FILE}\nReport: {report}")
    print(update_index(save_dir_of(last)))
    return 0


def remarks(runs: list[RunAnswers], result: dict) -> list[str]:
    """What the user should know of the runs, a line each: questions left out, errors, no uncertainty, order of cost."""
    lines = []
    for run, entry in zip(runs, result["runs"], strict=True):
        if entry["n_left_out"]:
            lines.append(
                f"{run.folder}: {entry['n_left_out']:,} of its questions are left out: another run lacks them, or has"
                " another text, options or key"
            )
        if run.n_errors:
            lines.append(
                f"{run.folder}: {run.n_errors:,} records have errors: such a tier does not answer, and hands the"
                " question on"
            )
        if entry["n_permutations"] == 1:
            lines.append(f"{run.folder}: one permutation, so there is no uncertainty: the plain rule alone is searched")
        if entry["cell"] and entry["n_cells"] > 1:
            lines.append(f"{run.folder}: of its {entry['n_cells']} cells the one without thinking is the tier")
    of_runs = [[one["cost"]["plain"] for one in result["tiers"] if one["run"] == run] for run in range(len(runs))]
    means = [float(np.mean(costs)) for costs in of_runs]
    if any(later < earlier for earlier, later in pairwise(means)):
        lines.append("The runs do not stand in rising cost: " + ", ".join(f"{mean:.3g}" for mean in means))
    return lines
