"""Multiple-choice questions from the hub or a local file, and which of them are used.

A row becomes a question, or it is skipped with a reason; the program never guesses.
"""
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace

from basics.errors import UserError
from basics.strict_json import sha256_of
from questions.files import hub_rows, is_local, local_rows
from questions.keys import UnusableRowError, agrees, named_option, read_conventions, same_text
from questions.question import Question
from questions.row_forms import as_object, one_question_each
from questions.rows import RowContent, read_row, row_name
from questions.shapes import SIMPLEST_SHAPE, UNKNOWN_SHAPE, what_is_missing


@dataclass(frozen=True)
class QuestionSet:
    """The content of a source.

    questions: in the order of the source, ids distinct. skipped: {"row", "reason"} of each row that is not a question.
    notes: {"row", "note"} about rows that are among the questions. A row's name is its id, or `row 7`, counted from 1,
    if it has none. readings: how the keys were read, by shape.
    """

    questions: list[Question]
    skipped: list[dict[str, str]]
    notes: list[dict[str, str]]
    readings: list["Reading"]


@dataclass(frozen=True)
class Reading:
    """How the questions of one shape were read. key: the field that decides.

    conventions: of its keys that can be read in one way only, how many in which, such as letter or number from 1.
    """

    shape: str
    key: str
    n_questions: int
    conventions: dict[str, int]


# --- Which questions -----------------------------------------------------------------------------------------------


def select_questions(questions: list[Question], n_questions: int, seed: int) -> list[Question]:
    """The n_questions whose SHA-256 of (seed, id) is lowest, by that hash; all of them if 0 or more than there are.

    The choice does not depend on the order of `questions`, and a smaller choice begins a larger one.
    """
    ranked = sorted(questions, key=lambda question: sha256_of([seed, question.question_id]))
    return ranked[:n_questions] if n_questions else ranked


def fingerprint(questions: list[Question]) -> str:
    """Hexadecimal SHA-256 of the questions with all their fields, independent of their order."""
    return sha256_of(sorted((astuple(question) for question in questions), key=lambda fields: fields[0]))


# --- From rows to questions ----------------------------------------------------------------------------------------


def load_questions(dataset: str, dataset_config: str | None, dataset_split: str) -> QuestionSet:
    """The questions of a local file or a hub data set.

    dataset: hub id, or a path to a .json, .jsonl, .csv, .tsv, .parquet or .txt file or to a folder that `save_to_disk`
    wrote. dataset_config: configuration of a hub data set; None = its only one, and for a file. dataset_split: of a hub
    data set, or of a file or folder that has several.
    Raises UserError if the source cannot be read, has an unknown shape, counts its options in another way than it
    should, or holds not one usable row.
    """
    if is_local(dataset):
        return _question_set(local_rows(dataset, dataset_config, dataset_split), dataset)
    return _question_set(hub_rows(dataset, dataset_config, dataset_split), dataset)


def _question_set(rows: Iterable[tuple[str | None, object]], dataset: str) -> QuestionSet:
    """Sorts rows into questions, skipped rows and notes. rows: (id given outside of the row or None, row)."""
    names, found, first_row = [], [], None
    rows = (one for given_id, row in rows for one in one_question_each(given_id, row))
    for position, (given_id, row) in enumerate(rows, 1):
        first_row = row if position == 1 else first_row
        names.append(row_name(given_id, row, position))
        found.append(_tried(read_row, given_id, row))
    contents = [content for content in found if isinstance(content, RowContent)]
    conventions = read_conventions((one for content in contents for one in content.statements), dataset)
    # First the keys, over the whole file; then rows are compared with each other.
    found = [one if isinstance(one, str) else _tried(_keyed, one, conventions) for one in found]
    found = _without_contradictions(found)
    found = _without_duplicates(found)
    skipped = [{"row": name, "reason": one} for name, one in zip(names, found, strict=True) if isinstance(one, str)]
    keyed = [(name, one) for name, one in zip(names, found, strict=True) if not isinstance(one, str)]
    if not keyed:
        raise _no_usable_row(dataset, skipped, first_row)
    notes = [{"row": name, "note": remark} for name, one in keyed for remark in one.remarks]
    return QuestionSet([one.question for _, one in keyed], skipped, notes, _readings(keyed, conventions))


def _readings(keyed: list[tuple[str, "_Keyed"]], conventions: dict[tuple[str, str], Counter]) -> list[Reading]:
    counts = Counter(one.column for _, one in keyed)
    return [Reading(*column, number, dict(conventions[column].most_common())) for column, number in counts.items()]


@dataclass(frozen=True)
class _Keyed:
    """A question whose key is known. has_id: whether the source gave its id. column: shape and field of its key."""

    question: Question
    has_id: bool
    remarks: tuple[str, ...]
    column: tuple[str, str]


def _tried(function, *arguments):
    """The function's result, or the reason why the row cannot be used."""
    try:
        return function(*arguments)
    except UnusableRowError as error:
        return str(error)


def _keyed(content: RowContent, conventions: dict[tuple[str, str], Counter]) -> _Keyed:
    """The question of a row. Raises UnusableRowError unless all statements of its key name one option."""
    deciding, *others = content.statements
    option = named_option(deciding, conventions[deciding.column])
    remarks = []
    for other in others:
        verdict = agrees(other, option, conventions[other.column])
        if verdict is False:
            raise UnusableRowError(f"two statements of the key disagree: {deciding.field} and {other.field}")
        if verdict is None:
            remark = "the {} differs from that of the option" if other.text_only else "its {} names no option"
            remarks.append(remark.format(other.field))
    options = content.options
    if options.count(options[option]) > 1:
        raise UnusableRowError("another option has the same text as the correct one")
    if len(set(options)) < len(options):
        remarks.append("two wrong options have the same text")
    question_id = content.question_id or sha256_of([content.question, options])[:16]
    question = Question(question_id, content.question, options, option, content.category)
    return _Keyed(question, content.question_id is not None, tuple(remarks), deciding.column)


def _without_contradictions(found: list) -> list:
    """The list with a reason in place of every question that occurs with different keys."""
    keys: dict[tuple, set[str]] = {}
    for one in found:
        if isinstance(one, _Keyed):
            keys.setdefault(_sameness(one.question), set()).add(_correct_text(one.question))
    reason = "the same question and options occur with different keys"
    return [reason if isinstance(one, _Keyed) and len(keys[_sameness(one.question)]) > 1 else one for one in found]


def _without_duplicates(found: list) -> list:
    """The list with a reason in place of rows that repeat an id, and a remark on questions that occur again."""
    by_id: dict[str, _Keyed] = {}
    first_ids: dict[tuple, str] = {}
    result = []
    for one in found:
        if isinstance(one, _Keyed):
            earlier = by_id.setdefault(one.question.question_id, one)
            first_id = first_ids.setdefault(_sameness(one.question), one.question.question_id)
            one = _against_earlier(one, earlier, first_id)
        result.append(one)
    return result


def _against_earlier(one: _Keyed, earlier: _Keyed, first_id: str) -> _Keyed | str:
    if earlier is not one:
        is_same = earlier.question == one.question or not (one.has_id or earlier.has_id)
        return "exact duplicate of an earlier row" if is_same else "an earlier row has the same id and other content"
    if first_id == one.question.question_id:
        return one
    return replace(one, remarks=(*one.remarks, f"same question and options as {first_id!r}"))


def _sameness(question: Question) -> tuple:
    """Equal for questions with the same text and options in any order; white space and capitals do not count."""
    return same_text(question.question), tuple(sorted(_compared(question)))


def _correct_text(question: Question) -> str:
    return _compared(question)[question.correct_option]


def _compared(question: Question) -> list[str]:
    """The options as they are compared; capitals count if two options differ by them alone ("mW", "MW")."""
    texts = [same_text(option) for option in question.options]
    capitals_matter = len(set(texts)) < len(set(question.options))
    return [" ".join(option.split()) for option in question.options] if capitals_matter else texts


def _no_usable_row(dataset: str, skipped: list[dict[str, str]], first_row: object) -> UserError:
    if not skipped:
        return UserError(f"DATASET = {dataset!r}: it holds no rows")
    counts = Counter(row["reason"] for row in skipped)
    if all(reason.startswith(UNKNOWN_SHAPE) for reason in counts):
        first_row = as_object(first_row)
        fields = ", ".join(map(str, first_row)) if isinstance(first_row, dict) else ""
        found = " ".join(fields.split())[:300] or "none"
        what = f"unknown shape; {what_is_missing(first_row)}; fields found: {found}"
        return UserError(f"DATASET = {dataset!r}: {what}; the simplest shape is a .csv file such as", SIMPLEST_SHAPE)
    reasons = "; ".join(f"{count:,} x {reason}" for reason, count in counts.most_common(3))
    return UserError(f"DATASET = {dataset!r}: none of its {len(skipped):,} rows can be used: {reasons}")
