"""What the index says of each run and comparison in a SAVE_DIR; a folder that cannot be read is a row that says why."""
import os
import re
from collections.abc import Callable
from pathlib import Path

from basics.errors import UserError, one_line
from basics.strict_json import OTHER_SHAPE, strict_json
from report.cascade_results import read_cascade
from report.comparison_results import COMPARISON_FILE, COMPARISON_FOLDERS, COMPARISON_PAGE
from runs.finished_runs import n_units_wanted
from runs.journal import process_journals
from runs.results_folder import read_config, read_summary, run_folders
from runs.what_differs import what_differs
from scoring.answer_paragraphs import answer_paragraphs, compares_ratios

_BLOCK = 1 << 20  # bytes read at a time
# Parts of a run's identity that have a column, or come with the model that has one
_IN_COLUMNS = {
    "model", "tokenizer", "chat_frame", "closings", "questions", "n_permutations", "n_thoughts", "temperature", "seed",
    "schema_version",
}  # fmt: skip


def run_rows(save_dir: Path) -> list[dict]:
    """A row per run folder in a SAVE_DIR, the one that was started last first."""
    rows = [_readable(run, _run_row) for run in run_folders(save_dir) if run != save_dir]
    readable = [row for row in rows if row["fault"] is None]
    for part in what_differs([row["config"] for row in readable]):
        if part["name"] not in _IN_COLUMNS:
            for row, value in zip(readable, part["values"], strict=True):
                row["other_parts"].append(f"{part['name']} {value}")
    return sorted(rows, key=lambda row: row.get("started") or "", reverse=True)


def comparison_rows(save_dir: Path) -> list[dict]:
    """A row per comparison in a SAVE_DIR, by name."""
    folders = sorted(path for path in save_dir.glob(COMPARISON_FOLDERS) if os.access(path / COMPARISON_FILE, os.F_OK))
    return [_readable(folder, _comparison_row) for folder in folders]


def _readable(folder: Path, row: Callable[[Path], dict]) -> dict:
    try:
        return {"name": folder.name, "fault": None} | row(folder)
    except UserError as error:
        fault = str(error)
    except OSError as error:
        fault = error.strerror or str(error)
    except OTHER_SHAPE as error:
        fault = f"{type(error).__name__}: {error}"
    return {"name": folder.name, "page": None, "fault": one_line(fault.replace(f"{folder}/", ""))}


def _run_row(run: Path) -> dict:
    config = read_config(run)
    if config is None:
        raise UserError("config.json is missing")
    settings, identity, questions = config["settings"], config["identity"], config["questions"]
    cells = [(int(cell["total_budget"]), cell["answer_thinking_ratio"]) for cell in identity["cells"]]
    started = [process["started"] for process in config["processes"]]
    cascade = read_cascade(run)
    is_finished = (run / "summary.json").exists()
    n_units = n_units_wanted(config)
    return {
        "config": config,
        "other_parts": [],
        "started": str(started[-1]) if started else None,
        "model_name": str(settings["model_name"]),
        "dataset": str(settings["DATASET"]),
        "n_questions": int(questions["used"]),
        "n_permutations": int(identity["n_permutations"]),
        "n_thoughts": int(identity.get("n_thoughts", 1)),  # a run of a version without this part has one
        "temperature": float(identity["temperature"]),
        "seed": int(identity["seed"]),
        "budgets": sorted({budget for budget, _ in cells}),
        "ratios": sorted({float(ratio) for _, ratio in cells if ratio is not None}),
        "is_finished": is_finished,
        "n_units": n_units,
        "n_units_done": n_units if is_finished else _n_lines(run) // max(1, len(cells)),
        "answers": _answers(run) if is_finished else [],
        "page": "report.html" if (run / "report.html").is_file() else None,
        "cascade_runs": None if cascade is None else [str(one["folder"]) for one in cascade["runs"]],
    }


def _n_lines(run: Path) -> int:
    """Whole lines in the journal, and in those of processes that are at work."""
    n_lines = 0
    for path in (run / "records.jsonl", *process_journals(run)):
        if path.exists():
            with open(path, "rb") as file:
                n_lines += sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    return n_lines


def _answers(run: Path) -> list[str]:
    """The first sentence of the answer of each total budget, or of what is said of each cell of a single arm."""
    summary = read_summary(run / "summary.json")
    n_answers = len(summary["comparisons"]["by_budget"] if compares_ratios(summary) else summary["cells"])
    return [first_sentence(paragraph.text) for paragraph in answer_paragraphs(summary)[:n_answers]]


def first_sentence(text: str) -> str:
    """Up to the first full stop that a capital letter follows."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", text, maxsplit=1)[0]


def _comparison_row(folder: Path) -> dict:
    result = strict_json((folder / COMPARISON_FILE).read_bytes())
    return {
        "runs": [str(run["folder"]) for run in result["runs"]],
        "what_differs_words": str(result["what_differs_words"]),
        "answers": [str(pair["answer"]) for pair in result["pairs"]],
        "page": COMPARISON_PAGE if (folder / COMPARISON_PAGE).is_file() else None,
    }
