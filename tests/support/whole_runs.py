"""What tests do with a whole run of the program."""
from pathlib import Path

import run_experiment
from runs.journal import read_records
from runs.results_folder import run_folders
from scoring.record_schema import UNIT_NAMES

SCRIPT = Path(run_experiment.__file__)


def run_folder(arguments):
    folders = run_folders(Path(arguments[arguments.index("--save-dir") + 1]))
    assert len(folders) == 1
    return folders[0]


def records_by_key(folder):
    return {
        tuple(record[name] for name in (*UNIT_NAMES, "total_budget", "answer_thinking_ratio")): record
        for record in read_records(folder / "records.jsonl")
    }


def with_flag(arguments, flag, *values):
    at = arguments.index(flag) if flag in arguments else len(arguments)
    return [*arguments[:at], flag, *values, *arguments[at + 2 :]]
