"""The content of a row: its question as shown, its options, and the statements of its key. Its fields tell its shape.

Nothing is guessed: a row that cannot be read raises UnusableRowError with the reason.
"""
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from questions.keys import KeyStatement, UnusableRowError, key_text

MAX_OPTIONS = len(ascii_uppercase)  # options are shown with one letter each

ID_FIELDS = ("id", "question_id")
_CATEGORY_FIELDS = ("category", "subject")
# Fields that state the key. The field of the row's shape decides; the others have to agree with it.
_KEY_FIELDS = (
    "answer", "answer_index", "answer_idx", "answerKey", "answer_key", "answer_letter", "answer_text",
    "correct", "correct_answer", "correct_option", "correct_index", "correct_letter",
)  # fmt: skip
# Texts that belong to a question, in the order in which they are shown before it. Texts that explain the answer
# (explanation, rationale, solution, lecture, and SciQ's support) are not shown.
_TEXT_CONTENT = (
    "background", "scenario", "context", "passage", "article", "paragraph", "document", "story", "vignette", "premise",
    "dialogue", "conversation", "table", "hint",
)  # fmt: skip
_OTHER_CONTENT = re.compile(
    r"(decoded)?(image|picture|photo|figure|diagram|chart|audio|video)s?(path|url|file|filename|name|id|bytes|base64)?\d*"
)
UNKNOWN_SHAPE = "its fields fit no known shape"


class DoubledNames(dict):
    """A JSON object that has a name twice: `json` would keep the last value and say nothing."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs

    def doubled_name(self) -> str:
        """A name that occurs twice."""
        return Counter(name for name, _ in self.pairs).most_common(1)[0][0]


@dataclass(frozen=True)
class RowContent:
    """A row before its key is decided.

    question_id: None if the row has none. statements: of the key; the first decides, the others have to agree.
    """

    question_id: str | None
    question: str
    options: tuple[str, ...]
    category: str | None
    statements: tuple[KeyStatement, ...]


@dataclass(frozen=True)
class _Layout:
    """What a shape finds in a row. key: the field and its value; labels: of the options, None if they have none.

    key_text: the option's text, if the key's field states it too, else None.
    """

    options: list
    key: tuple[str, str]
    labels: tuple[str, ...] | None = None
    key_text: str | None = None


def read_row(given_id: str | None, row: object) -> RowContent:
    """The content of a row. given_id: its id outside of the row, or None. Raises UnusableRowError."""
    if isinstance(row, DoubledNames):
        raise UnusableRowError(f"it has the field {row.doubled_name()!r} twice")
    shape = next((shape for shape in SHAPES if isinstance(row, dict) and shape.fits(row)), None)
    if shape is None:
        raise UnusableRowError(UNKNOWN_SHAPE)
    if None in row:
        raise UnusableRowError("it has more cells than the header")
    question = _with_content(_text(row[shape.fields[0]], "the question"), row)
    layout = shape.read(row)
    if not 2 <= len(layout.options) <= MAX_OPTIONS:
        raise UnusableRowError(f"{len(layout.options)} options; 2 to {MAX_OPTIONS} are allowed")
    as_given = tuple(_text(option, f"option {number}") for number, option in enumerate(layout.options, 1))
    options = _without_own_labels(as_given)
    statements = _statements(shape.name, row, options, as_given, layout)
    return RowContent(_given_id(given_id, row), question, options, _category(row), statements)


def _statements(shape: str, row: dict, options: tuple, as_given: tuple, layout: _Layout) -> tuple:
    field, value = layout.key
    statements = [KeyStatement(shape, field, value, options, as_given, layout.labels)]
    if layout.key_text:
        name = f"text of its {field}"
        statements.append(KeyStatement(shape, name, layout.key_text, options, as_given, text_only=True))
    for other in _KEY_FIELDS:
        if other == field or other not in row:
            continue
        try:
            value = key_text(row[other])
        except UnusableRowError:  # hidden, or not a key
            continue
        statements.append(KeyStatement(shape, other, value, options, as_given, layout.labels))
    return tuple(statements)


def row_name(given_id: str | None, row: object, position: int) -> str:
    """A row's name in lists: its id, else its number counted from 1."""
    own_id = next((row[field] for field in ID_FIELDS if row.get(field)), None) if isinstance(row, dict) else None
    name = given_id or (str(own_id) if isinstance(own_id, (str, int)) else f"row {position}")
    return name.encode(errors="replace").decode()  # half a surrogate pair cannot be written to a file


def _with_content(question: str, row: dict) -> str:
    """The question after the texts that belong to it. Raises UnusableRowError if some content cannot be shown."""
    found = {}
    for field, value in row.items():
        name = re.sub(r"[\s_-]", "", str(field)).lower()
        if _is_empty(value):
            continue
        if _OTHER_CONTENT.fullmatch(name):
            raise UnusableRowError(f"its {field} cannot be shown to a model that reads text")
        kind = next((kind for kind in _TEXT_CONTENT if name in (kind, f"{kind}s", f"{kind}text")), None)
        if kind is not None:
            found.setdefault(kind, []).append(_text(value, f"its {field}"))
    texts = [text for kind in _TEXT_CONTENT for text in found.get(kind, []) if text not in question]
    return "\n\n".join([*texts, question])


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        return not value.strip() or value.strip().lower() in ("nan", "none", "null", "n/a")
    return value is None or value is False or value in ([], {}) or (isinstance(value, float) and math.isnan(value))


def _text(value: object, name: str) -> str:
    """The text without white space at its ends. Raises UnusableRowError if it is blank or not text."""
    if not isinstance(value, str):
        found = "missing" if value is None else f"{type(value).__name__}, not text"
        raise UnusableRowError(f"{name} is {found}")
    if not value.strip():
        raise UnusableRowError(f"{name} is blank")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can contain half a surrogate pair, which no file or tokenizer accepts
        raise UnusableRowError(f"{name} is not valid Unicode") from None
    return value.strip()


def _given_id(given_id: str | None, row: dict) -> str | None:
    own_ids = (row[field] for field in ID_FIELDS if row.get(field) not in (None, ""))
    value = given_id or next(own_ids, None)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value is None else _text(value, "the id")


def _category(row: dict) -> str | None:
    value = next((row[field] for field in _CATEGORY_FIELDS if row.get(field)), None)
    return _text(value, "the category") if isinstance(value, str) and value.strip() else None


# --- Options that carry letters or numbers of their own ------------------------------------------------------------

_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_SERIES = (
    tuple(ascii_uppercase), tuple(ascii_lowercase), tuple(map(str, range(1, MAX_OPTIONS + 1))),
    tuple(map(str, range(MAX_OPTIONS))), _ROMAN, tuple(map(str.upper, _ROMAN)),
)  # fmt: skip
# A blank or a word follows a full stop, and no digit follows a colon: "1.5" is a number, "1: 2" a ratio.
_STYLES = (
    r"\(({})\)(.*)", r"（({})）(.*)", r"\[({})\](.*)", r"({})[)）](.*)", r"({})[.．](\s.*|[^\W\d_]{{2}}.*)",
    r"({})、(.*)", r"({})[:：](\s+\D.*)", r"(?i:option|choice|answer)\s+({})\s*[:.)](.*)",
)  # fmt: skip
_LABEL = r"[A-Z]|[a-z]|\d{1,2}|[ivx]{1,4}|[IVX]{1,4}"
_OWN_LABELS = tuple(re.compile(style.format(_LABEL), re.DOTALL) for style in _STYLES)


def _without_own_labels(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options without their own letters or numbers, if all have them in one style and in order; else unchanged.

    Raises UnusableRowError if all have letters in brackets but out of order: a letter as key would be unclear.
    """
    for style in _OWN_LABELS:
        matches = [style.fullmatch(option) for option in options]
        if not all(matches):
            continue
        labels, texts = tuple(match[1] for match in matches), tuple(match[2].strip() for match in matches)
        if "" in texts or len(set(texts)) < len(set(options)):
            continue
        if any(labels == series[: len(labels)] for series in _SERIES):
            return texts
        if style in _OWN_LABELS[:4] and len(set(labels)) == len(labels) and all(map(str.isalpha, labels)):
            raise UnusableRowError("its options carry letters that are not A, B, C, ... in order")
    return options


# --- The shapes: how each gives its options and its key ------------------------------------------------------------


def _read_teleqna_file(row: dict) -> _Layout:
    """Fields `option 1` ... and `answer: "option 3: ..."`: the number is the key, the text after it has to agree."""
    numbers = {field: int(match[1]) for field in row if (match := re.fullmatch(r"option (\d{1,4})", str(field)))}
    by_number = {number: row[field] for field, number in numbers.items()}
    if len(by_number) < len(numbers):  # "option 1" and "option 01"
        raise UnusableRowError("two of its fields have the same option number")
    while by_number and by_number[max(by_number)] in (None, ""):  # tables fill up short rows
        del by_number[max(by_number)]
    if sorted(by_number) != list(range(1, len(by_number) + 1)):
        raise UnusableRowError("its option numbers do not run 1, 2, 3, ...")
    options = [by_number[number] for number in sorted(by_number)]
    answer = re.fullmatch(r"\s*option\s+(\d{1,4})\s*(?::(.*))?", key_text(row["answer"]), re.IGNORECASE | re.DOTALL)
    if answer is None:
        raise UnusableRowError("its answer does not begin with an option number")
    labels = tuple(map(str, sorted(by_number)))
    return _Layout(options, ("answer", str(int(answer[1]))), labels, (answer[2] or "").strip() or None)


def _read_lists(options_field: str, key_field: str) -> Callable[[dict], _Layout]:
    """A list of options, and the number, letter or text of the correct one."""
    return lambda row: _Layout(_list(row[options_field], options_field), (key_field, key_text(row[key_field])))


def _read_labelled_choices(row: dict) -> _Layout:
    """`choices` with lists `text` and `label`, and the label of the correct one."""
    choices = row["choices"]
    if not isinstance(choices, dict):
        raise UnusableRowError("choices is no object with text and label")
    options, labels = _list(choices.get("text"), "choices.text"), _list(choices.get("label"), "choices.label")
    if len(options) != len(labels):
        raise UnusableRowError("choices has not as many labels as texts")
    labels, key = tuple(str(label).strip(" ()[].:\t") for label in labels), key_text(row["answerKey"])
    if labels.count(key) > 1:
        raise UnusableRowError("the key names two options")
    return _Layout(options, ("answerKey", key), labels)


def _read_lettered_options(row: dict) -> _Layout:
    """Options that may begin with their own letter ("A)21"): all of them in order, or none."""
    layout = _read_lists("options", "correct")(row)
    prefixed = [re.match(r"\s*\(?([A-Z])\)", str(option)) for option in layout.options]
    letters = [match and match[1] for match in prefixed]
    if any(prefixed) and letters != list(ascii_uppercase[: len(letters)]):
        raise UnusableRowError("its options do not begin with A), B), C), ...")
    return layout


def _list(value: object, name: str) -> list:
    if not isinstance(value, list):
        raise UnusableRowError(f"{name} is {type(value).__name__}, not a list")
    return value


@dataclass(frozen=True)
class _Shape:
    """A layout of rows, recognised by its fields; the first is the question. read: raises UnusableRowError."""

    name: str
    fields: tuple[str, ...]
    read: Callable[[dict], _Layout]

    def fits(self, row: dict) -> bool:
        return all(field in row for field in self.fields)


SHAPES = (
    _Shape("TeleQnA's own file", ("question", "option 1", "answer"), _read_teleqna_file),
    _Shape("TeleQnA on the hub, MMLU", ("question", "choices", "answer"), _read_lists("choices", "answer")),
    _Shape("ARC, CommonsenseQA", ("question", "choices", "answerKey"), _read_labelled_choices),
    _Shape("OpenBookQA", ("question_stem", "choices", "answerKey"), _read_labelled_choices),
    _Shape("MMLU-Pro", ("question", "options", "answer_index"), _read_lists("options", "answer_index")),
    _Shape("AQuA-RAT", ("question", "options", "correct"), _read_lettered_options),
)
