"""The shapes of rows, as a table: by which fields each is recognised, and how it gives its options and its key."""
import re
from collections.abc import Callable
from dataclasses import dataclass

from questions.fields import KEY_NAMES, LIST_NAMES, QUESTION_NAMES, Fields, plain_name
from questions.layouts import (
    Layout,
    Places,
    read_columns,
    read_labelled_choices,
    read_lettered_options,
    read_list,
    read_marked_options,
    read_numbered_list,
    read_right_and_wrong,
    read_teleqna_file,
)


@dataclass(frozen=True)
class Shape:
    """A layout of rows, recognised by its fields. question, key: alternative names.

    options: the names of the fields with the options, none if they are not there. read: of questions/layouts.py.
    """

    name: str
    question: tuple[str, ...]
    options: Callable[[Fields], tuple[str, ...]]
    key: tuple[str, ...]
    read: Callable[[Places], Layout]

    def places(self, fields: Fields) -> Places | None:
        """Where this shape's fields are; None if one is missing."""
        question, options, key = fields.name_of(*self.question), self.options(fields), fields.name_of(*self.key)
        if question is None or not options or key is None:
            return None
        return Places(fields.row, question, options, key)


# --- Which fields hold the options ---------------------------------------------------------------------------------


def _one_of(*alternatives: str) -> Callable[[Fields], tuple[str, ...]]:
    def names(fields: Fields) -> tuple[str, ...]:
        name = fields.name_of(*alternatives)
        return () if name is None else (name,)

    return names


_OPTION_COLUMN = re.compile(r"(option|choice|alternative|answer|ans|ending|opt|op|)([a-z]|\d{1,2})")


def option_columns(fields: Fields) -> tuple[str, ...]:
    """Names of the fields `A`, `B`, ... or `option 1`, ..., `opa`, ..., `ending0`, ..., in order; none if under 2.

    Where they do not run on (`A`, `B`, `D`) all of them are given; `read_columns` refuses them.
    """
    families: dict[tuple, dict] = {}
    for name in fields.row:
        match = _OPTION_COLUMN.fullmatch(plain_name(name))
        if match:
            place = int(match[2]) if match[2].isdigit() else match[2]
            families.setdefault((match[1], match[2].isdigit()), {}).setdefault(place, name)
    begun = [family for family in families.values() if family.keys() & {"a", 0, 1} and family.keys() & {"b", 1, 2}]
    largest = max(begun, key=len, default={})
    return tuple(largest[place] for place in sorted(largest)) if len(largest) > 1 else ()


def _wrong_columns(first: str, others: str, least: int) -> Callable[[Fields], tuple[str, ...]]:
    """The column with the right option and those with the wrong ones, `others` with a number behind."""

    def names(fields: Fields) -> tuple[str, ...]:
        right = fields.name_of(first)
        wrong = [fields.name_of(f"{others} {number}") for number in range(1, 10)]
        found = tuple(name for name in wrong if name is not None)
        return () if right is None or len(found) < least else (right, *found)

    return names


# --- The table: the first that fits is tried first -----------------------------------------------------------------

_CHOICES, _OPTIONS, _ANY_LIST = _one_of("choices"), _one_of("options"), _one_of(*LIST_NAMES)
SHAPES = (
    Shape("TeleQnA's own file", ("question",), _one_of("option 1"), ("answer",), read_teleqna_file),
    Shape("TeleQnA on the hub, MMLU", ("question",), _CHOICES, ("answer",), read_list),
    Shape("ARC, CommonsenseQA", ("question", "stem"), _CHOICES, ("answerKey",), read_labelled_choices),
    Shape("OpenBookQA", ("question_stem",), _CHOICES, ("answerKey",), read_labelled_choices),
    Shape("MMLU-Pro", ("question",), _OPTIONS, ("answer_index",), read_list),
    Shape("AQuA-RAT", ("question",), _OPTIONS, ("correct",), read_lettered_options),
    Shape("MedQA", ("question",), _OPTIONS, ("answer_idx",), read_labelled_choices),
    Shape("RACE", ("question",), _OPTIONS, ("answer",), read_list),
    Shape("HellaSwag", ("ctx",), _one_of("endings"), ("label",), read_list),
    Shape("TruthfulQA mc1", ("question",), _one_of("mc1_targets"), ("mc1_targets",), read_marked_options),
    Shape("ORAN-Bench-13K", ("question",), _one_of("numbered options"), ("answer",), read_numbered_list),
    Shape(
        "GPQA", ("question",), _wrong_columns("correct answer", "incorrect answer", 1), ("correct answer",),
        read_right_and_wrong,
    ),
    Shape(
        "SciQ", ("question",), _wrong_columns("correct answer", "distractor", 1), ("correct answer",),
        read_right_and_wrong,
    ),
    Shape("a column per option", QUESTION_NAMES, option_columns, ("answer", *KEY_NAMES), read_columns),
    Shape("a list of options", QUESTION_NAMES, _ANY_LIST, KEY_NAMES, read_list),
    Shape("labelled options", QUESTION_NAMES, _ANY_LIST, KEY_NAMES, read_labelled_choices),
)  # fmt: skip
SIMPLEST_SHAPE = (
    "question,A,B,C,D,answer",
    "How many bits are in a byte?,4,8,16,32,B",
    "Which of these is a fruit?,brick,apple,cloud,nail,B",
)
UNKNOWN_SHAPE = "its fields fit no known shape"


def fits_a_shape(names) -> bool:
    """Whether fields of these names fit a shape, or several questions in one row."""
    fields = Fields(dict.fromkeys(names))
    if fields.row.keys() >= {"questions", "options", "answers"}:
        return True
    return any(shape.places(fields) for shape in SHAPES)


def what_is_missing(row: object) -> str:
    """What keeps a row from every shape, in words."""
    if not isinstance(row, dict):
        return f"a row is {type(row).__name__}, not an object"
    fields = Fields(row)
    parts = (
        (fields.name_of(*QUESTION_NAMES), f"question ({', '.join(QUESTION_NAMES[:3])}, ...)"),
        (option_columns(fields) or _ANY_LIST(fields), "options (columns A, B, C, ..., or choices, options, ...)"),
        (fields.name_of(*KEY_NAMES), "key (answer, answer_index, correct, label, ...)"),
    )
    missing = [f"no field for the {words}" for found, words in parts if not found]
    return "; ".join(missing) or "its fields belong to different shapes"
