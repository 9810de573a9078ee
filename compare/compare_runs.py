"""`--compare RUN RUN [RUN ...]`: from folders of finished runs to the tables, `comparison.json`, figure and page."""
import os
from pathlib import Path
from textwrap import fill

from basics.errors import UserError, one_line, printable
from basics.files import write_json
from basics.strict_json import sha256_of
from compare.analysis import analyse
from compare.compared_run import ComparedRun, read_compared_run, with_common_units
from compare.words import pair_tables
from report.comparison_results import COMPARISON_FILE
from runs.finished_runs import only_run_folder, save_dir_of
from runs.results_folder import only_writer
from scoring.record_schema import CONFIDENCE_TITLES


def run_compare(folders: list[str], confidence: str, seed: int) -> int:
    """Reads the runs, prints the comparison with the first and leaves it in a folder beside the first; returns 0.

    Raises UserError if the runs cannot be compared; nothing is written then.
    """
    from report.comparison_page import write_comparison_page
    from report.figures import draw_comparison_figure  # here: matplotlib takes half a second
    from report.index_page import update_index

    check_different(folders)
    runs = []
    for folder in folders:
        print(one_line(f"Reading {folder} ..."), flush=True)
        runs.append(read_compared_run(folder))
    runs = with_common_units(runs)
    result = analyse(runs, confidence, seed)
    print_comparison(runs, result)  # first: it needs no disk that can be written to
    target = comparison_folder(runs, confidence)
    with only_writer(target):
        write_json(target / COMPARISON_FILE, result)
        draw_comparison_figure(target, result)
        page = write_comparison_page(target, result)
    print(f"\nComparison: {target / COMPARISON_FILE}\nPage: {page}")
    print(update_index(target.parent))
    return 0


def check_different(folders: list[str]) -> None:
    """Raises UserError for fewer than two runs, or if two names are one folder."""
    if len(folders) < 2:
        raise UserError("--compare: one run; allowed are two or more, of which the first is the reference")
    seen: dict[Path, str] = {}
    for name in folders:
        folder = only_run_folder("--compare", name).resolve()
        if folder in seen:
            raise UserError(f"--compare: {seen[folder]} and {name} are one folder; allowed are different runs")
        seen[folder] = name


def comparison_folder(runs: list[ComparedRun], confidence: str) -> Path:
    """A folder beside the first run, named by a hash of the runs in their order and of the confidence."""
    save_dir = save_dir_of(runs[0].folder)
    names = [os.path.relpath(run.folder, save_dir) for run in runs]
    return save_dir / f"comparison-{sha256_of([names, confidence])[:12]}"


def print_comparison(runs: list[ComparedRun], result: dict) -> None:
    """The runs, what differs, a table per pair and the answers."""
    print()
    for run, entry in zip(runs, result["runs"], strict=True):
        print(one_line(f"{entry['name']}: {run.folder}"))
    for remark in remarks(result):
        print(one_line(remark))
    print("\n" + _filled(result["what_differs_words"]))
    for pair in result["pairs"]:
        print(f"\n{pair_tables(pair, result)}\n\n{_filled(pair['answer'])}")
    print(f"\n{_filled(result['best_cells_words'])}\n\n{_filled(result['claim'])}")


def _filled(text: str) -> str:
    return fill(printable(text), 110)


def remarks(result: dict) -> list[str]:
    """What the user should know of the runs, a line each: questions and cells left out, errors, no interval."""
    lines = []
    for run in result["runs"]:
        if run["n_left_out"]:
            lines.append(
                f"{run['name']}: {run['n_left_out']:,} of its {run['n_questions']:,} questions are left out: another"
                " run lacks them, or has another text, options or key"
            )
        if run["n_further_records"]:
            lines.append(
                f"{run['name']}: {run['n_further_records']:,} of its records are left out: another run has fewer"
                " permutations or thoughts per question"
            )
        if run["n_without_confidence"]:
            lines.append(
                f"{run['name']}: of {run['n_records']:,} records {run['n_errors']:,} have errors, and"
                f" {run['n_without_confidence']:,} have no {CONFIDENCE_TITLES[result['confidence']]}"
            )
    for pair in result["pairs"]:
        if pair["n_cells_left_out"]:
            names = [result["runs"][pair[place]]["name"] for place in ("against", "run")]
            left_out = f"{pair['n_cells_left_out']:,} cells are left out: only one of the two has them"
            lines.append(f"{' and '.join(names)}: {left_out}")
    return lines
