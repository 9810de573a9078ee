"""`--look`: how a data set is read: shape, counts, skipped rows, and questions as the model will see them."""
from collections.abc import Iterator
from string import ascii_uppercase

from basics.errors import printable
from evaluation_tool import answer_prompt
from questions.question import Question
from questions.question_sets import QuestionSet, Reading, load_questions, select_questions

N_SHOWN = 3  # questions
_MOST_REASONS = 20


def look(settings: dict) -> int:
    """Prints how DATASET is read; returns the exit status. The questions are the first that SEED draws. Needs no model.

    Raises UserError if it cannot be read.
    """
    dataset = settings["DATASET"]
    question_set = load_questions(dataset, settings["DATASET_CONFIG"] or None, settings["DATASET_SPLIT"])
    for line in _lines(dataset, question_set, settings["SEED"]):
        print(printable(line))
    return 0


def _lines(dataset: str, question_set: QuestionSet, seed: int) -> Iterator[str]:
    questions, skipped, notes = question_set.questions, question_set.skipped, question_set.notes
    yield f"{dataset}: {len(questions) + len(skipped):,} rows, {len(questions):,} questions, {len(skipped):,} skipped"
    yield from map(_reading_line, question_set.readings)
    yield _options_line(questions)
    yield _categories_line(questions)
    yield from _counted("Skipped", [(one["reason"], one["row"]) for one in skipped])
    yield from _counted("Noted", [(one["note"], one["row"]) for one in notes])
    for one in select_questions(questions, N_SHOWN, seed):
        yield ""
        yield f"--- {one.question_id}, as the model will see it; right: {ascii_uppercase[one.correct_option]}"
        yield from answer_prompt(one.question, one.options).split("\n")


def _reading_line(reading: Reading) -> str:
    ways = ", ".join(f"{way} ({number:,})" for way, number in reading.conventions.items())
    only = f"; keys that can be read in one way only: {ways}" if ways else ""
    return f"Shape: {reading.shape}, {reading.n_questions:,} questions; key in {reading.key!r}{only}"


def _options_line(questions: list[Question]) -> str:
    counts = sorted({len(one.options) for one in questions})
    letters = [0] * counts[-1]
    for one in questions:
        letters[one.correct_option] += 1
    right = ", ".join(f"{letter} {number:,}" for letter, number in zip(ascii_uppercase, letters, strict=False))
    return f"Options per question: {counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''}; right options: {right}"


def _categories_line(questions: list[Question]) -> str:
    categories = {one.category for one in questions} - {None}
    without = sum(one.category is None for one in questions)
    return f"Categories: {len(categories):,}; questions without one: {without:,}"


def _counted(word: str, reasons: list[tuple[str, str]]) -> Iterator[str]:
    """A line per reason, the most frequent first, with how many rows have it and the first of them."""
    rows: dict[str, list[str]] = {}
    for reason, row in reasons:
        rows.setdefault(reason, []).append(row)
    ranked = sorted(rows.items(), key=lambda pair: -len(pair[1]))
    for reason, names in ranked[:_MOST_REASONS]:
        yield f"{word}: {len(names):,} x {reason} (first: {names[0]})"
    if len(ranked) > _MOST_REASONS:
        yield f"{word}: {len(ranked) - _MOST_REASONS:,} further reasons"
