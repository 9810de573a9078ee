"""Question sets: multiple-choice questions from the hub or a local file, which of them are used, and in which orders.

A row becomes a question or is skipped with a reason; nothing about it is guessed. Its shape is known by its fields.
"""
import ast
import csv
import io
import json
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from string import ascii_uppercase

from errors import UserError
from results_folder import sha256_of

MAX_OPTIONS = len(ascii_uppercase)  # options are shown with one letter each


@dataclass(frozen=True)
class Question:
    """A multiple-choice question; its texts carry no white space at their ends.

    options: 2 to 26 texts; correct_option: index into them, its text occurs once; category: None if there is none.
    """

    question_id: str
    question: str
    options: tuple[str, ...]
    correct_option: int
    category: str | None


@dataclass(frozen=True)
class QuestionSet:
    """What a source holds.

    questions: in the order of the source, ids distinct. skipped: {"row", "reason"} of each row that is no question.
    notes: {"row", "note"} of what was only checked; these rows are among the questions. A row is called by its id,
    or `row 7`, counted from 1, where it has none.
    """

    questions: list[Question]
    skipped: list[dict[str, str]]
    notes: list[dict[str, str]]


@dataclass(frozen=True)
class PermutedQuestion:
    """One order of a question's options.

    option_order: indices into the original options, in the order shown; correct_option: index into those shown.
    """

    options: tuple[str, ...]
    option_order: tuple[int, ...]
    correct_option: int


class _UnusableRowError(Exception):
    """A row that cannot be a question; the message is the reason."""


# --- Which questions, in which orders ------------------------------------------------------------------------------


def select_questions(questions: list[Question], n_questions: int, seed: int) -> list[Question]:
    """The n_questions whose SHA-256 of (seed, id) is lowest, by that hash; all of them if 0 or more than there are.

    The choice does not depend on the order of `questions`, and a smaller one is the beginning of a larger one.
    """
    ranked = sorted(questions, key=lambda question: sha256_of([seed, question.question_id]))
    return ranked[:n_questions] if n_questions else ranked


def permuted(question: Question, permutation: int, seed: int) -> PermutedQuestion:
    """The options in order number `permutation` (>= 0); number 0 is the order as given.

    Options that stand for others as a whole ("All of the above", "Both ...") keep their place; a question with an
    option that cites others by number or letter has only the order as given. The orders of a question are drawn without
    replacement, so numbers differ in order until every order has had its turn; then the same sequence begins again.
    """
    movable = _movable_options(question)
    rank = _rank_of_order(question.question_id, permutation, math.factorial(len(movable)), seed)
    order = list(range(len(question.options)))
    for position, option in zip(movable, _order_of_rank(movable, rank), strict=True):
        order[position] = option
    return PermutedQuestion(
        options=tuple(question.options[option] for option in order),
        option_order=tuple(order),
        correct_option=order.index(question.correct_option),
    )


def fingerprint(questions: list[Question]) -> str:
    """Hexadecimal SHA-256 of the questions with all their fields, independent of their order."""
    return sha256_of(sorted((astuple(question) for question in questions), key=lambda fields: fields[0]))


def _rank_of_order(question_id: str, permutation: int, n_orders: int, seed: int) -> int:
    """Rank of an order in 0 ... n_orders - 1: a Fisher-Yates shuffle of the ranks, kept only where it was touched.

    Step k needs nothing but the steps before it, so an order does not depend on how many are asked for.
    """
    permutation %= n_orders
    touched = {}
    for step in range(1, permutation + 1):
        draw = int(sha256_of([seed, question_id, step]), 16)  # 256 bits: the modulo leaves no bias that matters
        other = step + draw % (n_orders - step)
        touched[step], touched[other] = touched.get(other, other), touched.get(step, step)
    return touched.get(permutation, permutation)


def _order_of_rank(items: list[int], rank: int) -> list[int]:
    """The items in the order of this rank among all their orders; rank 0 is the order as given."""
    left, order = list(items), []
    while left:
        index, rank = divmod(rank, math.factorial(len(left) - 1))
        order.append(left.pop(index))
    return order


def _movable_options(question: Question) -> list[int]:
    if any(_cites_options(option, len(question.options)) for option in question.options):
        return []
    return [index for index, option in enumerate(question.options) if not _stands_for_others(option)]


_QUANTITIES = "all|none|any|some|most|each|one|two|three|more|many|several|both|either|neither|nothing|everything"
_STANDS_FOR_OTHERS = re.compile(
    rf"""
    ^\W*(both|neither|either)\b
    | ^\W*(all|none|any|everything|nothing)\W*$
    | ^\W*({_QUANTITIES})\ of\ (these|those|them)\W*$
    | ^\W*(all|none)\ (of\ (them|these)\ )?(is|are)\ (equally\ )?(correct|incorrect|true|false|right|wrong)\b
    | \b({_QUANTITIES})\ (or\ more\ |than\ one\ )?(of\ )?(the\ )?
      (above\b
      | (aforementioned|previous|preceding|listed|mentioned|given)\W*$
      | (other\ |given\ |listed\ |above\ |previous\ |preceding\ |following\ )?(options|choices|answers|alternatives)\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)

# A small letter counts only in brackets: "an option a user can take" names none.
_NAMED_OPTION = re.compile(
    r"(?i:\b(?:option|choice|answer)s?)[\s(\"']+(\d{1,2}|[A-Z]|[a-z](?=\))|one|two|three|four|five)\b"
)
_OPTION_BY_PLACE = re.compile(
    r"\b(first|second|third|fourth|fifth|last)( two| three| four)? (option|choice|answer)s?\b", re.IGNORECASE
)
_NUMBER_WORDS = ("ONE", "TWO", "THREE", "FOUR", "FIVE")
# An option made of nothing but references and these words is about the options referred to: "A and C are correct".
_ABOUT_OPTIONS = re.compile(
    r"and|or|nor|&|both|either|neither|only|just|all|none|any|every|everything|of|the|above|except|but|for|not|is|are"
    r"|correct|incorrect|true|false|right|wrong|together|options?|choices?|answers?",
    re.IGNORECASE,
)


def _stands_for_others(option: str) -> bool:
    return _STANDS_FOR_OTHERS.search(option) is not None


def _cites_options(option: str, n_options: int) -> bool:
    """Whether an option cites others by number or letter. Wrongly True costs permutations, wrongly False the key."""
    if _OPTION_BY_PLACE.search(option):
        return True
    references = {*ascii_uppercase[:n_options], *map(str, range(1, n_options + 1))}
    named = references.union(_NUMBER_WORDS[:n_options])
    if any(name.upper() in named for name in _NAMED_OPTION.findall(option)):
        return True
    words = [stripped for word in option.replace(",", " ").split() if (stripped := word.strip(".:;()[]'\""))]
    others = [word.upper() for word in words if not _ABOUT_OPTIONS.fullmatch(word)]
    return 0 < len(others) < len(words) and references.issuperset(others)


# --- From rows to questions ----------------------------------------------------------------------------------------


def load_questions(dataset: str, dataset_config: str | None, dataset_split: str) -> QuestionSet:
    """The questions of a local file or a hub data set.

    dataset: hub id, or a path to a .json, .jsonl, .csv, .parquet or .txt file. dataset_config: configuration of a hub
    data set; None = its only one, and for a file. dataset_split: split of a hub data set; a file has none.
    Raises UserError if the source cannot be read, has an unknown shape, or holds not one usable row.
    """
    if _is_local(dataset):
        return _question_set(_local_rows(dataset, dataset_config), dataset)
    return _question_set(_hub_rows(dataset, dataset_config, dataset_split), dataset)


def _question_set(rows: Iterable[tuple[str | None, object]], dataset: str) -> QuestionSet:
    """Sorts rows into questions, skipped rows and notes. rows: (id given outside of the row or None, row)."""
    by_id: dict[str, Question] = {}
    id_of_content: dict[str, str] = {}
    skipped, notes, first_row = [], [], None
    for position, (given_id, row) in enumerate(rows, 1):
        first_row = row if position == 1 else first_row
        name = _row_name(given_id, row, position)
        try:
            question, remarks = _read_row(given_id, row)
            _refuse_doubled_id(question, by_id)
        except _UnusableRowError as error:
            skipped.append({"row": name, "reason": str(error)})
            continue
        by_id[question.question_id] = question
        content = _content_hash(question.question, question.options)
        first_id = id_of_content.setdefault(content, question.question_id)
        if first_id != question.question_id:
            remarks.append(f"same question and options as {first_id!r}")
        notes += [{"row": name, "note": remark} for remark in remarks]
    if not by_id:
        raise _no_usable_row(dataset, skipped, first_row)
    return QuestionSet(list(by_id.values()), skipped, notes)


def _refuse_doubled_id(question: Question, by_id: dict[str, Question]) -> None:
    earlier = by_id.get(question.question_id)
    if earlier == question:
        raise _UnusableRowError("exact duplicate of an earlier row")
    if earlier is not None:
        raise _UnusableRowError("an earlier row has the same id and other content")


def _no_usable_row(dataset: str, skipped: list[dict[str, str]], first_row: object) -> UserError:
    if not skipped:
        return UserError(f"DATASET = {dataset!r}: it holds no rows")
    counts = Counter(row["reason"] for row in skipped)
    if set(counts) == {_UNKNOWN_SHAPE}:
        fields = ", ".join(map(str, first_row)) if isinstance(first_row, dict) else ""
        found = " ".join(fields.split())[:300] or "none"
        known = "; ".join(f"{shape.name} ({', '.join(shape.fields)})" for shape in _SHAPES)
        return UserError(f"DATASET = {dataset!r}: unknown shape; fields found: {found}; shapes known: {known}")
    reasons = "; ".join(f"{count:,} x {reason}" for reason, count in counts.most_common(3))
    return UserError(f"DATASET = {dataset!r}: none of its {len(skipped):,} rows can be used: {reasons}")


def _row_name(given_id: str | None, row: object, position: int) -> str:
    own_id = next((row[field] for field in _ID_FIELDS if row.get(field)), None) if isinstance(row, dict) else None
    name = given_id or (str(own_id) if isinstance(own_id, (str, int)) else f"row {position}")
    return name.encode(errors="replace").decode()  # half a surrogate pair could not be written to the summary


_ID_FIELDS = ("id", "question_id")
_CATEGORY_FIELDS = ("category", "subject")
_UNKNOWN_SHAPE = "its fields fit no known shape"


def _read_row(given_id: str | None, row: object) -> tuple[Question, list[str]]:
    """The question of a row, and remarks on what was only checked. Raises _UnusableRowError."""
    if isinstance(row, _DoubledNames):
        raise _UnusableRowError(f"it has the field {row.doubled_name()!r} twice")
    shape = next((shape for shape in _SHAPES if isinstance(row, dict) and shape.fits(row)), None)
    if shape is None:
        raise _UnusableRowError(_UNKNOWN_SHAPE)
    if None in row:
        raise _UnusableRowError("it has more cells than the header")
    question = _text(row[shape.fields[0]], "the question")
    options, correct_option, remarks = shape.read(row)
    if not 2 <= len(options) <= MAX_OPTIONS:
        raise _UnusableRowError(f"{len(options)} options; 2 to {MAX_OPTIONS} are allowed")
    options = tuple(_text(option, f"option {number}") for number, option in enumerate(options, 1))
    if not 0 <= correct_option < len(options):
        raise _UnusableRowError("the key names no option")
    if options.count(options[correct_option]) > 1:
        raise _UnusableRowError("another option has the same text as the correct one")
    if len(set(options)) < len(options):
        remarks.append("two wrong options have the same text")
    question_id = _given_id(given_id, row) or _content_hash(question, options)[:16]
    return Question(question_id, question, options, correct_option, _category(row)), remarks


def _content_hash(question: str, options: tuple[str, ...]) -> str:
    return sha256_of([question, options])


def _text(value: object, name: str) -> str:
    """The text without white space at its ends. Raises _UnusableRowError if it is no text or blank."""
    if not isinstance(value, str):
        found = "missing" if value is None else f"{type(value).__name__}, not text"
        raise _UnusableRowError(f"{name} is {found}")
    if not value.strip():
        raise _UnusableRowError(f"{name} is blank")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which no file or tokenizer takes
        raise _UnusableRowError(f"{name} is not valid Unicode") from None
    return value.strip()


def _given_id(given_id: str | None, row: dict) -> str | None:
    own_ids = (row[field] for field in _ID_FIELDS if row.get(field) not in (None, ""))
    value = given_id or next(own_ids, None)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value is None else _text(value, "the id")


def _category(row: dict) -> str | None:
    value = next((row[field] for field in _CATEGORY_FIELDS if row.get(field)), None)
    return _text(value, "the category") if isinstance(value, str) and value.strip() else None


# --- The shapes: how each gives its options and its key ------------------------------------------------------------


def _read_teleqna_file(row: dict) -> tuple[list, int, list[str]]:
    """Fields `option 1` ... and `answer: "option 3: ..."`: the number is the key, the text after it is only checked."""
    numbers = {field: int(match[1]) for field in row if (match := re.fullmatch(r"option (\d{1,4})", str(field)))}
    by_number = {number: row[field] for field, number in numbers.items()}
    if len(by_number) < len(numbers):  # "option 1" and "option 01"
        raise _UnusableRowError("two of its fields have the same option number")
    while by_number and by_number[max(by_number)] in (None, ""):  # tables fill up short rows
        del by_number[max(by_number)]
    if sorted(by_number) != list(range(1, len(by_number) + 1)):
        raise _UnusableRowError("its option numbers do not run 1, 2, 3, ...")
    options = [by_number[number] for number in sorted(by_number)]
    answer = re.fullmatch(r"\s*option\s+(\d{1,4})\s*(?::(.*))?", _key(row["answer"]), re.IGNORECASE | re.DOTALL)
    if answer is None:
        raise _UnusableRowError("its answer does not begin with an option number")
    correct_option = int(answer[1]) - 1
    shown = str(by_number.get(correct_option + 1, "")).strip()
    agrees = answer[2] is None or answer[2].strip() == shown
    return options, correct_option, [] if agrees else ["the text of its answer differs from that of the option"]


def _read_choices(row: dict) -> tuple[list, int, list[str]]:
    return _list(row["choices"], "choices"), _index(row["answer"]), []


def _read_options(row: dict) -> tuple[list, int, list[str]]:
    return _list(row["options"], "options"), _index(row["answer_index"]), []


def _read_labelled_choices(row: dict) -> tuple[list, int, list[str]]:
    """`choices` with lists `text` and `label`, and the label of the correct one."""
    choices = row["choices"]
    if not isinstance(choices, dict):
        raise _UnusableRowError("choices is no object with text and label")
    options, labels = _list(choices.get("text"), "choices.text"), _list(choices.get("label"), "choices.label")
    if len(options) != len(labels):
        raise _UnusableRowError("choices has not as many labels as texts")
    labels, key = [str(label).strip() for label in labels], str(_key(row["answerKey"])).strip()
    if labels.count(key) != 1:
        raise _UnusableRowError("the key names no option" if key not in labels else "the key names two options")
    return options, labels.index(key), []


def _read_lettered_options(row: dict) -> tuple[list, int, list[str]]:
    """Options that may begin with their own letter, "A)21", and the letter of the correct one."""
    options = _list(row["options"], "options")
    prefixed = [re.fullmatch(r"\s*\(?([A-Z])\)(.*)", str(option), re.DOTALL) for option in options]
    if any(prefixed):
        letters = [match and match[1] for match in prefixed]
        if letters != list(ascii_uppercase[: len(options)]):
            raise _UnusableRowError("its options do not begin with A), B), C), ...")
        options = [match[2] for match in prefixed]
    key = str(_key(row["correct"])).strip()
    if len(key) != 1 or key not in ascii_uppercase:
        raise _UnusableRowError("the key is no letter")
    return options, ascii_uppercase.index(key), []


def _list(value: object, name: str) -> list:
    if not isinstance(value, list):
        raise _UnusableRowError(f"{name} is {type(value).__name__}, not a list")
    return value


def _key(value: object) -> str:
    """The key as text. Raises _UnusableRowError if it is hidden, as in many test splits, or is no single value."""
    if value is not None and not isinstance(value, (str, int, float)):
        raise _UnusableRowError(f"the key is {type(value).__name__}, not text or number")
    if value is None or str(value).strip() in ("", "-1"):
        raise _UnusableRowError("no key")
    return str(value)


def _index(value: object) -> int:
    text = _key(value).strip()
    if not re.fullmatch(r"\d{1,9}(\.0)?", text, re.ASCII):
        raise _UnusableRowError("the key is no whole number")
    return int(text.removesuffix(".0"))


@dataclass(frozen=True)
class _Shape:
    """A layout of rows, known by its fields, the first of which is the question.

    read: options, index of the correct one, remarks; raises _UnusableRowError.
    """

    name: str
    fields: tuple[str, ...]
    read: Callable[[dict], tuple[list, int, list[str]]]

    def fits(self, row: dict) -> bool:
        return all(field in row for field in self.fields)


_SHAPES = (
    _Shape("TeleQnA's own file", ("question", "option 1", "answer"), _read_teleqna_file),
    _Shape("TeleQnA on the hub, MMLU", ("question", "choices", "answer"), _read_choices),
    _Shape("ARC, CommonsenseQA", ("question", "choices", "answerKey"), _read_labelled_choices),
    _Shape("OpenBookQA", ("question_stem", "choices", "answerKey"), _read_labelled_choices),
    _Shape("MMLU-Pro", ("question", "options", "answer_index"), _read_options),
    _Shape("AQuA-RAT", ("question", "options", "correct"), _read_lettered_options),
)


# --- From sources to rows ------------------------------------------------------------------------------------------

_LIST_FIELDS = ("choices", "options")


class _DoubledNames(dict):
    """A JSON object that has a name twice: `json` would keep the last value without a word."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs

    def doubled_name(self) -> str:
        return Counter(name for name, _ in self.pairs).most_common(1)[0][0]


def _json_object(pairs: list[tuple[str, object]]) -> dict:
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else _DoubledNames(pairs)


def _is_local(dataset: str) -> bool:
    is_path_like = dataset.startswith(("/", "~", "./", "../")) or dataset in (".", "..")
    return is_path_like or os.path.exists(dataset) or Path(dataset).suffix.lower() in _READERS


def _local_rows(dataset: str, dataset_config: str | None) -> Iterator[tuple[str | None, object]]:
    """(id given outside of the row or None, row) of each row of a file. Raises UserError."""
    if dataset_config is not None:
        raise UserError(f"DATASET_CONFIG = {dataset_config!r}: DATASET {dataset!r} is a local file and has none")
    path = Path(os.path.expanduser(dataset))
    if not os.path.exists(path):  # unlike Path.exists, False for a name that is too long
        raise UserError(f"DATASET = {dataset!r}: there is no such file")
    read = _READERS.get(path.suffix.lower())
    if not path.is_file() or read is None:
        found = f"has the suffix {path.suffix!r}" if path.is_file() else "is a folder or a device"
        raise UserError(f"DATASET = {dataset!r}: it {found}; allowed is a hub id or a file: {', '.join(_READERS)}")
    try:
        yield from read(path, dataset)
    except OSError as error:
        fault = error.strerror or " ".join(str(error).split())[:300]
        raise UserError(f"DATASET = {dataset!r}: {fault}") from None


def _file_text(path: Path, dataset: str) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"DATASET = {dataset!r}: byte {error.start:,} is not UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"DATASET = {dataset!r}: it holds NUL bytes, so it is no text in UTF-8")
    if not text.strip():
        raise UserError(f"DATASET = {dataset!r}: it is empty")
    return text


def _json_rows(path: Path, dataset: str) -> Iterator[tuple[str | None, object]]:
    """Rows of a list of objects, of an object of objects (whose names are the ids), or of one object per line."""
    text = _file_text(path, dataset)
    if _is_one_object_per_line(text):
        yield from _json_line_rows(path, dataset)
        return
    data = _parsed_json(text, dataset, first_line=1)
    if isinstance(data, list):
        yield from ((None, row) for row in data)
    elif isinstance(data, dict) and _is_one_row(data):
        yield None, data
    elif isinstance(data, dict):
        yield from data.pairs if isinstance(data, _DoubledNames) else data.items()
    else:
        raise UserError(f"DATASET = {dataset!r}: its JSON is {type(data).__name__}; allowed is a list or an object")


def _is_one_row(data: dict) -> bool:
    return any(shape.fits(data) for shape in _SHAPES) or not any(isinstance(value, dict) for value in data.values())


def _is_one_object_per_line(text: str) -> bool:
    """Whether a .json file holds JSON lines, as several published sets do: the first of its lines is a whole object."""
    first_line, _, rest = text.strip().partition("\n")
    if not rest or not first_line.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(first_line), dict)
    except (ValueError, RecursionError):  # the parser of the whole file will say what is wrong
        return False


def _json_line_rows(path: Path, dataset: str) -> Iterator[tuple[None, object]]:
    # Not `splitlines`: it also splits at U+2028 and the like, which JSON allows inside strings.
    for number, line in enumerate(_file_text(path, dataset).split("\n"), 1):
        if line.strip():
            yield None, _parsed_json(line, dataset, number)


def _parsed_json(text: str, dataset: str, first_line: int) -> object:
    try:
        return json.loads(text, object_pairs_hook=_json_object)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise UserError(f"DATASET = {dataset!r}: broken JSON in line {line:,}: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # brackets within brackets; numbers of thousands of digits
        raise UserError(f"DATASET = {dataset!r}: broken JSON: {error}") from None


def _csv_rows(path: Path, dataset: str) -> Iterator[tuple[None, dict]]:
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of 131,073 characters
    rows = csv.DictReader(io.StringIO(_file_text(path, dataset), newline=""), strict=True)
    try:
        _refuse_doubled_columns(rows.fieldnames or [], dataset)
        for row in rows:
            for field in _LIST_FIELDS:
                if isinstance(row.get(field), str):
                    row[field] = _parsed_cell(row[field])
            yield None, row
    except csv.Error as error:
        raise UserError(f"DATASET = {dataset!r}: broken CSV in line {rows.reader.line_num:,}: {error}") from None


def _refuse_doubled_columns(names: list[str], dataset: str) -> None:
    """Raises UserError if two columns have one name: of their cells only the last would be kept."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise UserError(f"DATASET = {dataset!r}: the column {doubled[0]!r} occurs twice")


def _parsed_cell(cell: str) -> object:
    """The list or object that a cell spells in JSON or as a Python literal, else the cell itself."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):  # not JSON: pandas writes lists as Python literals
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # of spellings such as "\d" that Python will refuse some day
            return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that its documentation names
        return cell


def _parquet_rows(path: Path, dataset: str) -> Iterator[tuple[None, dict]]:
    import pyarrow  # here and below: slow to import, and most sources do not need it
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _refuse_doubled_columns(file.schema_arrow.names, dataset)
            for batch in file.iter_batches():
                yield from ((None, row) for row in batch.to_pylist())
    except (pyarrow.ArrowException, UnicodeDecodeError, OverflowError, ValueError) as error:  # Python has no such date
        raise UserError(f"DATASET = {dataset!r}: broken parquet: {' '.join(str(error).split())[:300]}") from None


_READERS = {
    ".json": _json_rows,
    ".jsonl": _json_line_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
    ".txt": _json_rows,
}


def _hub_rows(dataset: str, dataset_config: str | None, dataset_split: str) -> Iterator[tuple[None, dict]]:
    """(None, row) of each row of a split on the hub or in the local cache. Raises UserError."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset, re.ASCII):
        raise UserError(f"DATASET = {dataset!r}: neither a file nor a hub id (owner/name)")
    import datasets

    from hub_faults import HUB_ERRORS

    try:
        table = datasets.load_dataset(dataset, dataset_config, split=dataset_split)
        for batch in table.iter(batch_size=1000):
            yield from ((None, dict(zip(batch, cells, strict=True))) for cells in zip(*batch.values(), strict=True))
    except (datasets.exceptions.DatasetsError, *HUB_ERRORS, RuntimeError) as error:
        asked = f"DATASET = {dataset!r} (DATASET_CONFIG = {dataset_config or ''!r}, DATASET_SPLIT = {dataset_split!r})"
        raise UserError(f"{asked}: {_data_set_fault(error, dataset)}") from error


def _data_set_fault(error: BaseException, dataset: str) -> str:
    """Why a data set could not be loaded, in one line that says what to do."""
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

    from hub_faults import hub_fault

    if isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
        error = error.__cause__  # it says only that something went wrong
    page, message = f"https://huggingface.co/datasets/{dataset}", " ".join(str(error).split())
    # `datasets` keeps only the words of the hub's answer to these, so its words have to be read.
    if isinstance(error, DatasetNotFoundError) and "gated" in message:
        return f"access is gated; accept the terms at {page} and log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, DatasetNotFoundError):
        return "the hub has no such data set; check the spelling, or if it is private log in with `hf auth login`"
    if isinstance(error, ValueError):  # lists the configurations or splits there are, then shows code
        return message.partition(" Example of usage")[0]
    return hub_fault(error, page)
