"""What a comparison needs of a finished run: its configuration, its questions and its records as columns."""
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from basics.errors import UserError
from basics.strict_json import OTHER_SHAPE, sha256_of
from runs.check import original_question
from runs.finished_runs import n_units_wanted, only_run_folder, read_each_record
from runs.journal import process_journals
from runs.results_folder import check_no_writer, other_version, read_config, read_summary
from scoring.fields import faults
from scoring.record_columns import CellColumns, RecordColumns
from scoring.record_schema import RECORD_FIELDS

Key = tuple[int, float | None]  # total budget, answer thinking ratio


@dataclass(frozen=True)
class ComparedRun:
    """A finished run. config: what `config.json` holds.

    contents: question id, ascending, -> a hash of its text, its options in any order and the text of the right one;
    orders: -> a hash of its options in the order as given.
    cells: by total budget and ratio, in this order; their `question` indexes the ids. n_further_records: that are left
    out of the cells, since another run has no such permutation or thought.
    """

    folder: Path
    config: dict
    contents: dict[str, str]
    orders: dict[str, str]
    cells: dict[Key, CellColumns]
    n_further_records: int = 0


def read_compared_run(name: str) -> ComparedRun:
    """One finished run. name: its folder, or a folder that holds this run alone.

    Raises UserError if there is no run or more than one, if it is unfinished, or if a line is no record of it.
    """
    folder = only_run_folder("--compare", name)
    check_no_writer(folder)
    config = read_config(folder)
    try:
        if told := other_version(config):
            raise UserError(f"{folder}: {told}")
        n_questions, n_units = config["questions"]["used"], n_units_wanted(config)
        keys = {(cell["total_budget"], cell["answer_thinking_ratio"]) for cell in config["identity"]["cells"]}
    except OTHER_SHAPE as error:
        raise UserError(f"{folder}: config.json cannot be used ({type(error).__name__}: {error})") from error
    if process_journals(folder) or not (folder / "summary.json").exists():
        raise UserError(f"{folder}: the run is not finished; its own command goes on with it")
    n_wanted = read_summary(folder / "summary.json").get("n_records")
    checked = _CheckedRecords(keys)
    columns = RecordColumns(read_each_record(folder / "records.jsonl", checked.read))
    cells = {(cell.total_budget, cell.answer_thinking_ratio): cell for cell in columns.cells}
    n_found = sum(map(len, columns.cells))
    fits = n_found == n_wanted and cells.keys() == keys and columns.n_questions == n_questions
    if not (n_found and fits and columns.n_units == n_units and _are_even(columns)):
        raise UserError(
            f"{folder}: its {n_found:,} records are not those of its summary.json, as many per question in every cell;"
            " --check says what is wrong"
        )
    return ComparedRun(folder, config, dict(sorted(checked.contents.items())), checked.orders, cells)


def with_common_units(runs: list[ComparedRun]) -> list[ComparedRun]:
    """The runs with the permutations and thoughts that all have: AURC of more records a question is another figure."""
    identities = [run.config["identity"] for run in runs]
    n_permutations, n_thoughts = (min(one[name] for one in identities) for name in ("n_permutations", "n_thoughts"))
    alike = []
    for run in runs:
        cells = {
            key: cell.where((cell.permutation < n_permutations) & (cell.thought < n_thoughts))
            for key, cell in run.cells.items()
        }
        n_further = sum(map(len, run.cells.values())) - sum(map(len, cells.values()))
        alike.append(replace(run, cells=cells, n_further_records=n_further))
    return alike


def place_among(questions: np.ndarray, cell: CellColumns) -> np.ndarray:
    """(records,) where each record's question stands among these indices of questions; -1 if it does not."""
    place = np.full(max(questions.max(), cell.question.max()) + 1, -1)
    place[questions] = np.arange(len(questions))
    return place[cell.question]


def _are_even(columns: RecordColumns) -> bool:
    """Whether every cell has every unit equally often."""
    counts = [np.bincount(cell.unit, minlength=columns.n_units) for cell in columns.cells]
    return len(np.unique(np.concatenate(counts))) == 1


class _CheckedRecords:
    """Looks at each record before it is used. keys: of the run's cells; contents, orders: of the questions so far."""

    def __init__(self, keys: set[Key]):
        self.keys = keys
        self.contents: dict[str, str] = {}
        self.orders: dict[str, str] = {}

    def read(self, record: object) -> dict:
        """The record. Raises TypeError or ValueError if it is none of this run."""
        if not isinstance(record, dict):
            raise TypeError("it is no object")
        if fault := next(faults(RECORD_FIELDS, record), None):
            raise ValueError(fault)
        if (record["total_budget"], record["answer_thinking_ratio"]) not in self.keys:
            raise ValueError("its cell is not one of the run's")
        n_options, last = len(record["options"]), max(record["correct_option"], record["predicted_option"] or 0)
        if sorted(record["option_order"]) != list(range(n_options)) or last >= n_options:
            raise ValueError("its options, their order, key and answer do not fit together")
        if record["question_id"] not in self.contents:
            question = original_question(record)
            key = question.options[question.correct_option]
            self.contents[record["question_id"]] = sha256_of([question.question, sorted(question.options), key])
            self.orders[record["question_id"]] = sha256_of(question.options)
        return record
