"""`--check`: whether results on disk are complete, keep their caps and say what their records say. Changes nothing."""
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from basics.errors import UserError, one_line
from basics.strict_json import OTHER_SHAPE, sha256_of, strict_json
from evaluation_tool import CONFIDENCE_NAMES, STAGES, summarise
from questions.question_sets import Question, fingerprint
from runs.journal import process_journals, read_records
from runs.results_folder import SCHEMA_VERSION, check_no_writer, read_config, read_summary

_MOST_SHOWN = 20  # problems of a run
_SHARES = (*CONFIDENCE_NAMES, "answer_readout_mass", "confidence_readout_mass", "p_true_readout_mass")


def check_results(results_folder: str) -> int:
    """Prints what is wrong in a run folder, or in each of a folder of them; returns the exit status, 1 if anything is.

    Raises UserError if there are no results or a run is still writing them.
    """
    folder = Path(results_folder).expanduser()
    candidates = [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    runs = [path for path in candidates if (path / "config.json").exists() or (path / "records.jsonl").exists()]
    if not runs:
        raise UserError(f"--check {results_folder}: no results there; name a run folder or a folder of them")
    n_problems = 0
    for run in runs:
        check_no_writer(run)
        problems = [*run_problems(run), *missing_pages(run)]
        n_problems += len(problems)
        for problem in problems[:_MOST_SHOWN]:
            print(one_line(f"{run}: {problem}"))
        if len(problems) > _MOST_SHOWN:
            print(f"{run}: and {len(problems) - _MOST_SHOWN:,} more")
        if not problems:
            print(f"{run}: complete and consistent")
    return 1 if n_problems else 0


def run_problems(run: Path) -> Iterator[str]:
    """Every problem of one run folder, in words."""
    try:
        config = read_config(run)
        if config is None:
            raise UserError("config.json is missing")
        version = config["identity"]["schema_version"]
        if version != SCHEMA_VERSION:
            yield f"another version of the program made it (schema version {version}, this one checks {SCHEMA_VERSION})"
            return
        confidences = set(config["identity"]["prompts"]["confidences"])
        cells = {(cell["total_budget"], cell["answer_thinking_ratio"]): cell for cell in config["identity"]["cells"]}
        n_units = config["questions"]["used"] * config["identity"]["n_permutations"]
    except (UserError, KeyError, TypeError) as error:  # a hand has been at it
        yield f"config.json cannot be used ({error})"
        return
    named = run.name.rpartition("_")[2]
    if len(named) == 12 and named != sha256_of(config["identity"])[:12]:
        yield "the name of the folder is not that of its config.json"
    for path in process_journals(run):
        yield f"{path.name}: of an interrupted launch; the run's own command takes it into records.jsonl"
    records = _CheckedRecords(cells, confidences)
    try:
        yield from records.problems(run / "records.jsonl")
    except OSError as error:
        yield f"records.jsonl: {error.strerror}"
        return
    yield from records.missing(n_units, config["identity"])
    if records.n_problems == 0:
        yield from _summary_problems(run, config)


class _CheckedRecords:
    """Goes through the lines of a journal.

    cells: by (total_budget, answer_thinking_ratio), as in `config.json`; so are the numbers that a confidence can be.
    """

    def __init__(self, cells: dict[tuple, dict], confidences: set[float]):
        self.cells, self.confidences = cells, confidences
        self.seen: Counter = Counter()  # (question_id, permutation, cell)
        self.questions: dict[str, Question] = {}
        self.n_problems = 0

    def problems(self, path: Path) -> Iterator[str]:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                for problem in self._line_problems(line):
                    self.n_problems += 1
                    yield f"records.jsonl, line {number:,}: {problem}"

    def _line_problems(self, line: bytes) -> list[str]:
        if not line.endswith(b"\n"):
            return ["it has no end; the run's own command mends this"]
        try:
            record = strict_json(line)
        except ValueError as error:
            return [f"no strict JSON ({error})"]
        try:
            key = (record["question_id"], record["permutation"])
            cell_key = (record["total_budget"], record["answer_thinking_ratio"])
            self.seen[key + cell_key] += 1
            if cell_key not in self.cells:
                return ["its cell is not among the run's"]
            if self.seen[key + cell_key] > 1:
                return [f"a second record of question {key[0]!r} in this permutation and cell"]
            checks = [*record_checks(record, self.cells[cell_key]), self._confidence_check(record["confidence"])]
            return [problem for holds, problem in checks if not holds] or self._question_problems(record)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:  # fields or types amiss
            return [f"no record ({type(error).__name__}: {error})"]

    def _confidence_check(self, value: float | None) -> tuple[bool, str]:
        """Another scale has other numbers, so records of two scales are not those of one run."""
        return value is None or value in self.confidences, f"confidence {value} is none that config.json names"

    def _question_problems(self, record: dict) -> list[str]:
        question = original_question(record)
        if self.questions.setdefault(question.question_id, question) == question:
            return []
        return [f"question {question.question_id!r} differs from that of an earlier line"]

    def missing(self, n_units: int, identity: dict) -> Iterator[str]:
        """What should be there and is not."""
        found = len(self.seen)
        if found != n_units * len(self.cells):
            yield f"{found:,} of {n_units * len(self.cells):,} records; the run's own command computes what is missing"
            return
        units = {key[:2] for key in self.seen}
        permutations = {permutation for _, permutation in units}
        if len(units) != n_units or permutations != set(range(identity["n_permutations"])):
            yield "not every question has all its permutations in every cell"
        elif fingerprint(list(self.questions.values())) != identity["questions"]:
            yield "the questions are not those of config.json (another fingerprint)"


def original_question(record: dict) -> Question:
    """The question as the question set gives it, put together from the order in which the record shows it."""
    options = dict(zip(record["option_order"], record["options"], strict=True))
    return Question(
        question_id=record["question_id"],
        question=record["question"],
        options=tuple(options[index] for index in range(len(options))),
        correct_option=record["option_order"][record["correct_option"]],
        category=record["category"],
    )


def record_checks(record: dict, cell: dict) -> Iterator[tuple[bool, str]]:
    """(holds, what is wrong if it does not) for everything that can be told from one record and its cell."""
    n_options, predicted = len(record["options"]), record["predicted_option"]
    yield sorted(record["option_order"]) == list(range(n_options)), "option_order is no order of its options"
    yield 0 <= record["correct_option"] < n_options, "correct_option names no option"
    yield from _answer_checks(record, n_options, predicted)
    for name in _SHARES:
        value = record[name]
        yield value is None or 0 <= value <= 1, f"{name} {value} is not between 0 and 1"
        yield value is not None or record["error"] is not None, f"{name} is missing and error does not say why"
    for stage in STAGES:
        yield record[f"{stage}_budget"] == cell[f"{stage}_budget"], f"{stage}_budget is not that of its cell"
        yield from _stage_checks(record, stage)
    total = record["answer_budget"] + record["confidence_budget"]
    yield total == record["total_budget"], "its two caps do not add up to total_budget"


def _answer_checks(record: dict, n_options: int, predicted: int | None) -> Iterator[tuple[bool, str]]:
    probabilities = record["answer_probabilities"]
    if predicted is None:
        holds = record["error"] is not None and record["is_correct"] is None and probabilities is None
        yield holds, "predicted_option is missing and error does not say why"
        return
    yield record["is_correct"] is (predicted == record["correct_option"]), "is_correct does not follow from the options"
    sums_up = len(probabilities) == n_options and math.isclose(math.fsum(probabilities), 1, abs_tol=1e-6)
    yield sums_up, "answer_probabilities do not add up to 1 over its options"
    chosen = probabilities[predicted]
    yield chosen == max(probabilities) == record["answer_probability"], "answer_probability is not the largest of them"


def _stage_checks(record: dict, stage: str) -> Iterator[tuple[bool, str]]:
    """The cap was kept, and how the thought ended agrees with its length."""
    names = ("thinking_ids", "thinking_tokens", "stopped", "budget")
    ids, used, stopped, cap = (record[f"{stage}_{name}"] for name in names)
    if ids is None:
        yield record["error"] is not None, f"there is no {stage} stage and error does not say why"
        return
    yield len(ids) == used, f"{stage}_thinking_tokens is not the number of its ids"
    yield used <= cap, f"{stage}_thinking_tokens {used} is over its cap {cap}"
    allowed = {
        "natural": used < cap,  # the tag took a step of the cap
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
        recomputed = summarise(read_records(run / "records.jsonl"), summary["target_error"], config["identity"]["seed"])
    except UserError as error:
        yield str(error).removeprefix(f"{run}/")
    except (OSError, *OTHER_SHAPE) as error:  # a hand has been at it
        yield f"summary.json cannot be used ({type(error).__name__}: {error})"
    else:
        stored = {name: summary.get(name) for name in recomputed}  # the file also holds the run's config
        for difference in _differences(stored, recomputed, ""):
            yield f"summary.json and records.jsonl disagree: {difference}"
        of_run = summary["run"] if isinstance(summary.get("run"), dict) else {}
        for name in ("settings", "identity", "questions"):
            if of_run.get(name) != config[name]:
                yield f"summary.json and config.json disagree in {name}"


def missing_pages(run: Path) -> Iterator[str]:
    """Figures and report of a finished run that are not there; what they show can be made again at any time."""
    if not (run / "summary.json").exists():
        return
    from report.figures import FIGURES  # here: matplotlib takes half a second

    pictures = {f"figures/{figure.file_name}": "plot_results.py" for figure in FIGURES}
    for name, maker in (pictures | {"report.html": "report.py"}).items():
        path = run / name
        if not path.is_file() or not path.stat().st_size:
            yield f"{name} is missing or empty; {maker} makes it again"


def _differences(stored, recomputed, place: str) -> Iterator[str]:
    """Where two JSON values differ; numbers may in their last digits, which depend on the machine."""
    if isinstance(stored, dict) and isinstance(recomputed, dict):
        for name in sorted(stored.keys() | recomputed.keys()):
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
