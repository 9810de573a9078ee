"""`--check`: whether results on disk are complete, keep their caps and say what their records say. Changes nothing."""
import math
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from basics.errors import UserError, one_line
from basics.strict_json import OTHER_SHAPE, sha256_of, strict_json
from questions.question import Question
from questions.question_sets import fingerprint
from runs.journal import UnitKey, process_journals
from runs.results_folder import check_no_writer, other_version, read_config, read_summary, run_folders
from runs.summary import summarise_as
from scoring.fields import faults
from scoring.record_schema import CONFIDENCE_NAMES, MASS_NAMES, RECORD_FIELDS, STAGE_FIELDS, STAGES, UNIT_NAMES

_MOST_SHOWN = 20  # problems of a run
_KEY_NAMES = (*UNIT_NAMES, "total_budget", "answer_thinking_ratio")  # no two records have them equal
_KEY_FIELDS = tuple(one for one in RECORD_FIELDS if one.name in _KEY_NAMES)


def check_results(folders: list[str], pages_of: Callable[[Path], dict[str, str]]) -> int:
    """Prints what is wrong in each run; returns the exit status, 1 if anything is.

    folders: each a run folder or a folder of runs. pages_of: from the folder of a finished run to the files that show
    it, by their path in the folder, and the command that makes them again; raises UserError if its summary is damaged.
    Raises UserError if a folder has no results or a run is still writing.
    """
    runs = dict.fromkeys(run for folder in folders for run in _runs_in(folder))  # a run that is named twice is one
    n_problems = 0
    for run in runs:
        check_no_writer(run)
        problems = [*run_problems(run), *missing_pages(run, pages_of)]
        n_problems += len(problems)
        for problem in problems[:_MOST_SHOWN]:
            print(one_line(f"{run}: {problem}"))
        if len(problems) > _MOST_SHOWN:
            print(f"{run}: and {len(problems) - _MOST_SHOWN:,} more")
        if not problems:
            print(f"{run}: complete and consistent")
    return 1 if n_problems else 0


def _runs_in(name: str) -> list[Path]:
    runs = run_folders(Path(name).expanduser())
    if not runs:
        raise UserError(f"--check {name}: no results there; name a run folder or a folder of them")
    return runs


def run_problems(run: Path) -> Iterator[str]:
    """Every problem of one run folder, in words."""
    try:
        config = read_config(run)
        if config is None:
            raise UserError("config.json is missing")
        if told := other_version(config):
            yield told
            return
        confidences = set(config["identity"]["prompts"]["confidences"])
        cells = {(cell["total_budget"], cell["answer_thinking_ratio"]): cell for cell in config["identity"]["cells"]}
        of_question = (config["identity"]["n_permutations"], config["identity"]["n_thoughts"])
        n_units = config["questions"]["used"] * of_question[0] * of_question[1]
    except (UserError, KeyError, TypeError) as error:  # edited or damaged
        yield f"config.json cannot be used ({error})"
        return
    named = run.name.rpartition("_")[2]
    if len(named) == 12 and named != sha256_of(config["identity"])[:12]:
        yield "the name of the folder is not that of its config.json"
    for path in process_journals(run):
        yield f"{path.name}: left by an interrupted launch; the run's own command moves it into records.jsonl"
    records = _CheckedRecords(cells, confidences)
    try:
        yield from records.problems(run / "records.jsonl")
    except OSError as error:
        yield f"records.jsonl: {error.strerror}"
        return
    yield from records.missing(n_units, of_question, config["identity"]["questions"])
    if records.n_problems == 0:
        yield from _summary_problems(run, config)


class _CheckedRecords:
    """The lines of a journal that were read so far.

    cells: by (total_budget, answer_thinking_ratio), as in `config.json`. confidences: the numbers that a confidence can
    be, from there too.
    """

    def __init__(self, cells: dict[tuple, dict], confidences: set[float]):
        self.cells, self.confidences = cells, confidences
        self.cell_numbers = {cell: number for number, cell in enumerate(cells)}
        self.seen: dict[UnitKey, int] = {}  # the cells of each unit, one bit each: memory grows with the units alone
        self.questions: dict[str, Question] = {}
        self.n_problems, self.n_damaged = 0, 0  # a torn end is no damage: the run's own command repairs it

    def problems(self, path: Path) -> Iterator[str]:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                for problem in self._line_problems(line):
                    self.n_problems += 1
                    self.n_damaged += line.endswith(b"\n")
                    yield f"records.jsonl, line {number:,}: {problem}"

    def _line_problems(self, line: bytes) -> list[str]:
        if not line.endswith(b"\n"):
            return ["it has no end; the run's own command repairs this"]
        try:
            record = strict_json(line)
        except ValueError as error:
            return [f"no strict JSON ({error})"]
        if not isinstance(record, dict):
            return ["it is no object"]
        if fault := next(faults(_KEY_FIELDS, record), None):
            return [fault]
        key = tuple(record[name] for name in _KEY_NAMES)
        cell_key = key[len(UNIT_NAMES) :]
        is_second = self._has_seen(key[: len(UNIT_NAMES)], cell_key)
        if cell_key not in self.cells:
            return ["its cell is not one of the run's"]
        if is_second:
            return [f"a second record of question {key[0]!r} in this permutation, thought and cell"]
        if fault := next(faults(RECORD_FIELDS, record), None):
            return [fault]
        checks = [*record_checks(record, self.cells[cell_key]), self._confidence_check(record["confidence"])]
        return [problem for holds, problem in checks if not holds] or self._question_problems(record)

    def _has_seen(self, unit: UnitKey, cell_key: tuple) -> bool:
        """Whether an earlier line is of this unit and cell; from now on one is. Cells of other runs count too."""
        bit = 1 << self.cell_numbers.setdefault(cell_key, len(self.cell_numbers))
        cells = self.seen.get(unit, 0)
        self.seen[unit] = cells | bit
        return bool(cells & bit)

    def _confidence_check(self, value: float | None) -> tuple[bool, str]:
        """Another scale has other numbers, so records of two scales are not those of one run."""
        return value is None or value in self.confidences, f"confidence {value} is not one of those in config.json"

    def _question_problems(self, record: dict) -> list[str]:
        question = original_question(record)
        if self.questions.setdefault(question.question_id, question) == question:
            return []
        return [f"question {question.question_id!r} differs from that of an earlier line"]

    def missing(self, n_units: int, of_question: tuple[int, int], questions: str) -> Iterator[str]:
        """What should be there but is not. of_question: its permutations and thoughts; questions: their fingerprint."""
        found = sum(cells.bit_count() for cells in self.seen.values())
        if found != n_units * len(self.cells):
            which, what = "records", "computes what is missing"
            if self.n_damaged:
                which, what = "records can be read", "goes on once these lines are mended or the file is moved away"
            yield f"{found:,} of {n_units * len(self.cells):,} {which}; the run's own command {what}"
            return
        numbers = {unit[1:] for unit in self.seen}
        if len(self.seen) != n_units or numbers != set(product(*map(range, of_question))):
            yield "not every question has all its permutations and thoughts in every cell"
        elif fingerprint(list(self.questions.values())) != questions:
            yield "the questions are not those of config.json (another fingerprint)"


def original_question(record: dict) -> Question:
    """The question as the question set gives it, with its options back in their order."""
    options = dict(zip(record["option_order"], record["options"], strict=True))
    return Question(
        question_id=record["question_id"],
        question=record["question"],
        options=tuple(options[index] for index in range(len(options))),
        correct_option=record["option_order"][record["correct_option"]],
        category=record["category"],
    )


def record_checks(record: dict, cell: dict) -> Iterator[tuple[bool, str]]:
    """(holds, what is wrong if it does not) for what the fields of one record and its cell say about one another.

    The record's fields have their declared types and ranges.
    """
    n_options = len(record["options"])
    yield sorted(record["option_order"]) == list(range(n_options)), "option_order is no order of its options"
    yield record["correct_option"] < n_options, "correct_option names no option"
    yield from _answer_checks(record, n_options)
    for name in (*CONFIDENCE_NAMES, *MASS_NAMES):
        has_reason = record[name] is not None or record["error"] is not None
        yield has_reason, f"{name} is missing and error does not say why"
    for stage in STAGES:
        yield record[f"{stage}_budget"] == cell[f"{stage}_budget"], f"{stage}_budget is not that of its cell"
        yield from _stage_checks(record, stage)
    total = record["answer_budget"] + record["confidence_budget"]
    yield total == record["total_budget"], "its two caps do not add up to total_budget"


def _answer_checks(record: dict, n_options: int) -> Iterator[tuple[bool, str]]:
    predicted, probabilities = record["predicted_option"], record["answer_probabilities"]
    if predicted is None:
        holds = record["error"] is not None and record["is_correct"] is None and probabilities is None
        yield holds, "predicted_option is missing and error does not say why"
        return
    yield record["is_correct"] is (predicted == record["correct_option"]), "is_correct does not follow from the options"
    probabilities = probabilities or []
    sums_up = len(probabilities) == n_options and math.isclose(math.fsum(probabilities), 1, abs_tol=1e-6)
    yield sums_up, "answer_probabilities do not add up to 1 over its options"
    chosen = probabilities[predicted] if predicted < len(probabilities) else None
    is_largest = chosen is not None and chosen == max(probabilities) == record["answer_probability"]
    yield is_largest, "answer_probability is not the largest of answer_probabilities"


def _stage_checks(record: dict, stage: str) -> Iterator[tuple[bool, str]]:
    """Whether the cap was kept, and whether the thought ended as its length says."""
    names = ("thinking_ids", "thinking_tokens", "stopped", "budget")
    ids, used, stopped, cap = (record[f"{stage}_{name}"] for name in names)
    nulls = {record[f"{stage}_{one.name}"] is None for one in STAGE_FIELDS if one.name != "stopped"}
    if len(nulls) > 1:
        yield False, f"some fields of the {stage} stage are null and others are not"
        return
    if ids is None:
        yield record["error"] is not None, f"there is no {stage} stage and error does not say why"
        return
    yield len(ids) == used, f"{stage}_thinking_tokens is not the number of its ids"
    yield used <= cap, f"{stage}_thinking_tokens {used} is over its cap {cap}"
    allowed = {
        "natural": used < cap,  # the closing tag took a step of the cap
        "capped": used == cap > 0,
        "none": used == cap == 0,
        None: record["error"] is not None,
    }
    yield allowed.get(stopped, False), f"{stage}_stopped {stopped!r} does not agree with {used} of {cap} tokens"


def _summary_problems(run: Path, config: dict) -> Iterator[str]:
    if not (run / "summary.json").exists():
        yield "summary.json is missing; the run's own command writes it"
        return
    try:
        summary = read_summary(run / "summary.json")
        recomputed = summarise_as(run, summary, config["identity"]["seed"])
    except UserError as error:
        yield str(error).removeprefix(f"{run}/")
    except (OSError, *OTHER_SHAPE) as error:  # edited or damaged
        yield f"summary.json cannot be used ({type(error).__name__}: {error})"
    else:
        stored = {name: summary.get(name) for name in recomputed}  # the file also holds the run's config
        for difference in _differences(stored, recomputed, ""):
            yield f"summary.json and records.jsonl disagree: {difference}"
        of_run = summary["run"] if isinstance(summary.get("run"), dict) else {}
        for name in ("settings", "identity", "questions"):
            if of_run.get(name) != config[name]:
                yield f"summary.json and config.json disagree in {name}"


def missing_pages(run: Path, pages_of: Callable[[Path], dict[str, str]]) -> Iterator[str]:
    """The pages of a finished run that are missing or empty, in words."""
    try:
        if not (run / "summary.json").exists():
            return
        pages = pages_of(run)
    except PermissionError:  # the folder's: a problem already
        return
    except UserError as error:
        yield f"figures and report cannot be checked: {error}"
        return
    for name, command in pages.items():
        path = run / name
        if not path.is_file() or not path.stat().st_size:
            yield f"{name} is missing or empty; {command} makes it again"


def _differences(stored, recomputed, place: str) -> Iterator[str]:
    """Where two JSON values differ. The last digits of numbers may differ: they depend on the machine.

    Another version may say the answer in other words: only that there is one is checked.
    """
    if isinstance(stored, dict) and isinstance(recomputed, dict):
        said = {"answer"} if all(isinstance(one.get("answer"), str) for one in (stored, recomputed)) else set()
        for name in sorted((stored.keys() | recomputed.keys()) - said):
            yield from _differences(stored.get(name), recomputed.get(name), f"{place}.{name}".lstrip("."))
    elif isinstance(stored, list) and isinstance(recomputed, list) and len(stored) == len(recomputed):
        for index, pair in enumerate(zip(stored, recomputed, strict=True)):
            yield from _differences(*pair, f"{place}[{index}]")
    elif not _same_value(stored, recomputed):
        yield f"{place} is {stored!r}, the records give {recomputed!r}"


def _same_value(stored, recomputed) -> bool:
    numbers = (int, float)
    if isinstance(stored, numbers) and isinstance(recomputed, numbers):
        return math.isclose(stored, recomputed, rel_tol=1e-9, abs_tol=1e-9)
    return stored == recomputed
