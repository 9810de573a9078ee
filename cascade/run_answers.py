"""What a cascade needs of a finished run: answers, confidences and tokens as arrays, read without a model."""
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from basics.errors import UserError
from basics.strict_json import OTHER_SHAPE, sha256_of
from runs.check import original_question
from runs.finished_runs import only_run_folder, read_each_record
from runs.journal import process_journals
from runs.results_folder import check_no_writer, other_version, read_config, read_summary
from scoring.record_schema import STAGES, TOKEN_NAMES

TOKEN_FIELDS = tuple(f"{stage}_{name}" for stage in STAGES for name in TOKEN_NAMES)


@dataclass(frozen=True)
class RunAnswers:
    """The records of a finished run. Arrays are (cells, questions, permutations), with questions sorted by id.

    Of several thoughts about a question in one order the first counts: a deployment thinks once.

    cells: (total_budget, answer_thinking_ratio), in the order of the run. question_ids: ascending; contents: per
    question a hash of its text, options as given and key. confidence: NaN where it is missing or the record has an
    error. is_correct: False without an answer. tokens: prompt, tags and closing, thinking and read-outs of both
    stages; a stage that an error kept from running took none.
    """

    folder: Path
    model_name: str
    cells: list[tuple[int, float | None]]
    question_ids: list[str]
    contents: list[str]
    confidence: np.ndarray
    is_correct: np.ndarray
    tokens: np.ndarray
    n_errors: int

    @property
    def n_permutations(self) -> int:
        """Orders of the options in which each question was asked."""
        return self.confidence.shape[2]


def read_run(name: str) -> RunAnswers:
    """The records of one finished run. name: its folder, or a folder that holds this run alone.

    Raises UserError if there is no run or more than one, if it is unfinished, or if a line is no record of it.
    """
    folder = only_run_folder("--cascade", name)
    check_no_writer(folder)
    config = read_config(folder)
    try:
        if told := other_version(config):
            raise UserError(f"{folder}: {told}")
        cells = [(cell["total_budget"], cell["answer_thinking_ratio"]) for cell in config["identity"]["cells"]]
        shape = (len(cells), config["questions"]["used"], config["identity"]["n_permutations"])
        n_thoughts = config["identity"]["n_thoughts"]
        model_name = str(config["settings"]["model_name"])
        n_wanted = int(np.prod(shape)) * n_thoughts
    except OTHER_SHAPE as error:
        raise UserError(f"{folder}: config.json cannot be used ({type(error).__name__}: {error})") from error
    if (folder / "summary.json").exists():
        read_summary(folder / "summary.json")
    records = _Growing(folder / "records.jsonl", cells)
    if process_journals(folder) or not (folder / "summary.json").exists() or records.n != n_wanted:
        raise UserError(
            f"{folder}: the run is not finished ({records.n:,} of {n_wanted:,} records and"
            f" {'a' if (folder / 'summary.json').exists() else 'no'} summary.json); its own command goes on with it"
        )
    return records.finish(folder, model_name, shape)


class _Growing:
    """Columns of a journal, one compact array per field. Raises UserError for a line that is no record of the run."""

    def __init__(self, path: Path, cells: list[tuple]):
        self.path, self.cells = path, {cell: index for index, cell in enumerate(cells)}
        self.questions: dict[str, int] = {}
        self.contents: list[str] = []
        self.places = {name: array("q") for name in ("cell", "question", "permutation")}
        self.confidence, self.tokens, self.is_correct = array("d"), array("q"), array("b")
        self.n_errors = self.n_further = 0
        for _ in read_each_record(path, self._add):
            pass

    @property
    def n(self) -> int:
        """Records, those of further thoughts included."""
        return len(self.confidence) + self.n_further

    def _add(self, record: dict) -> None:
        if record["thought"] > 0:
            self.n_further += 1
            return
        cell = self.cells[record["total_budget"], record["answer_thinking_ratio"]]
        question_id = record["question_id"]
        if question_id not in self.questions:
            question = original_question(record)
            self.contents.append(sha256_of([question.question, question.options, question.correct_option]))
            self.questions[question_id] = len(self.questions)
        has_error, confidence = record["error"] is not None, record["confidence"]
        self.confidence.append(np.nan if has_error or confidence is None else confidence)
        self.tokens.append(sum(record[name] or 0 for name in TOKEN_FIELDS))
        self.is_correct.append(record["is_correct"] is True)
        for name, value in (("cell", cell), ("question", self.questions[question_id])):
            self.places[name].append(value)
        self.places["permutation"].append(record["permutation"])
        self.n_errors += has_error

    def finish(self, folder: Path, model_name: str, shape: tuple[int, int, int]) -> RunAnswers:
        """All columns, each record in its place. Raises UserError if a place has no record, or two."""
        ids = sorted(self.questions)
        rank = np.empty(len(ids), dtype=np.int64)
        rank[[self.questions[question_id] for question_id in ids]] = np.arange(len(ids))
        cell, question, permutation = (np.array(self.places[name]) for name in ("cell", "question", "permutation"))
        inside = len(ids) == shape[1] and np.all((permutation >= 0) & (permutation < shape[2]))
        place = (cell * shape[1] + rank[question]) * shape[2] + permutation if inside else np.array([])
        if len(np.unique(place)) != np.prod(shape):
            raise UserError(f"{folder}: its records are not one per question, permutation and cell; --check says more")
        confidence = np.array(self.confidence)
        if np.any((confidence < 0) | (confidence > 1)):
            raise UserError(f"{folder}: a confidence is not between 0 and 1; --check says where")
        order = np.argsort(place)
        return RunAnswers(
            folder=folder,
            model_name=model_name,
            cells=list(self.cells),
            question_ids=ids,
            contents=[self.contents[self.questions[question_id]] for question_id in ids],
            confidence=confidence[order].reshape(shape),
            is_correct=(np.array(self.is_correct)[order] == 1).reshape(shape),
            tokens=np.array(self.tokens)[order].reshape(shape),
            n_errors=self.n_errors,
        )
