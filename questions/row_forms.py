"""Rows that are brought into the form of an object with plain fields: lists of cells, nested or several questions."""
import re
from collections.abc import Iterator
from string import ascii_uppercase

from questions.fields import QUESTION_NAMES, Fields
from questions.shapes import option_columns


def one_question_each(given_id: str | None, row: object) -> Iterator[tuple[str | None, object]]:
    """(id, row) for each question of a row: RACE's own files have a text with lists of its questions, options, answers.

    Their ids are those of the text with the number of the question behind.
    """
    lists = [row.get(name) for name in ("questions", "options", "answers")] if isinstance(row, dict) else [None]
    if not all(isinstance(one, list) for one in lists) or len(set(map(len, lists))) > 1:
        yield given_id, row
        return
    rest = {name: value for name, value in row.items() if name not in ("questions", "options", "answers", "id")}
    name = given_id or row.get("id")
    for number, cells in enumerate(zip(*lists, strict=True), 1):
        own_id = f"{name}-{number}" if isinstance(name, str) and name else None
        yield own_id, rest | dict(zip(("question", "options", "answer"), cells, strict=True))


def as_object(row: object) -> object:
    """A list of cells as the object that it stands for, and a nested question with its fields beside the others."""
    if isinstance(row, list):
        return named_cells(row) or row
    if isinstance(row, dict) and isinstance(nested := row.get("question"), dict) and "stem" in nested:
        return {name: value for name, value in row.items() if name != "question"} | nested
    return row


def named_cells(cells: list) -> dict | None:
    """The cells of a row without names, in MMLU's or ORAN-Bench-13K's order; None if they are neither's."""
    if len(cells) == 3 and isinstance(cells[1], list):
        carried = [re.match(r"\s*\(?(\d+)[.):]", str(option)) for option in cells[1]]
        is_numbered = [match and int(match[1]) for match in carried] == list(range(1, len(carried) + 1))
        return {"question": cells[0], "numbered options" if is_numbered else "choices": cells[1], "answer": cells[2]}
    names = ["question", *ascii_uppercase[: len(cells) - 2], "answer"]
    if not 4 <= len(cells) == len(names) or _are_names(cells):
        return None
    is_key = re.fullmatch(r"\s*([A-Za-z]|\d{1,2})\s*", str(cells[-1]))
    return dict(zip(names, cells, strict=True)) if is_key else None


def _are_names(cells: list) -> bool:
    """Whether cells are the names of fields: then they are no question."""
    fields = Fields(dict.fromkeys(str(cell) for cell in cells))
    return bool(option_columns(fields)) or fields.name_of(*QUESTION_NAMES, "id", "answer") is not None
