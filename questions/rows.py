"""The content of a row: its question as shown, its options, and the statements of its key."""
import math
import re
from collections import Counter
from dataclasses import dataclass
from string import ascii_uppercase

from questions.fields import Fields, plain_name
from questions.keys import KeyStatement, UnusableRowError, key_text
from questions.layouts import Layout, OtherShapeError, Places
from questions.own_labels import without_own_labels
from questions.row_forms import as_object
from questions.shapes import SHAPES, UNKNOWN_SHAPE, what_is_missing

MAX_OPTIONS = len(ascii_uppercase)  # options are shown with one letter each

ID_NAMES = ("id", "question_id")
_CATEGORY_NAMES = ("category", "subject", "subject_name")
# Fields that state the key. The field of the row's shape decides; the others have to agree with it.
_KEY_NAMES = (
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


def read_row(given_id: str | None, row: object) -> RowContent:
    """The content of a row. given_id: its id outside of the row, or None. Raises UnusableRowError."""
    if isinstance(row, DoubledNames):
        raise UnusableRowError(f"it has the field {row.doubled_name()!r} twice")
    row = as_object(row)
    shape, places, layout = _read_by_its_shape(row)
    fields = Fields(row)
    question = _with_content(_text(row[places.question], "the question"), row)
    if not 2 <= len(layout.options) <= MAX_OPTIONS:
        raise UnusableRowError(f"{len(layout.options)} options; 2 to {MAX_OPTIONS} are allowed")
    as_given = tuple(_text(option, f"option {number}") for number, option in enumerate(layout.options, 1))
    options = without_own_labels(as_given)
    statements = _statements(shape, fields, options, as_given, layout)
    return RowContent(_given_id(given_id, fields), question, options, _category(fields), statements)


def _read_by_its_shape(row: object) -> tuple[str, Places, Layout]:
    """Name of the first shape that can read the row, its places and its layout."""
    if not isinstance(row, dict):
        raise UnusableRowError(f"{UNKNOWN_SHAPE}: {what_is_missing(row)}")
    fields, first_fault = Fields(row), None
    for shape in SHAPES:
        places = shape.places(fields)
        if places is None:
            continue
        if None in row:
            raise UnusableRowError("it has more cells than the header")
        if doubled := fields.doubled((places.question, *places.options, places.key)):
            raise UnusableRowError(f"it has the field {doubled!r} twice, but for capitals and blanks")
        try:
            return shape.name, places, shape.read(places)
        except OtherShapeError as error:
            first_fault = first_fault or str(error)
    raise UnusableRowError(first_fault or f"{UNKNOWN_SHAPE}: {what_is_missing(row)}")


def _statements(shape: str, fields: Fields, options: tuple, as_given: tuple, layout: Layout) -> tuple:
    field, value = layout.key
    both = options, as_given
    statements = [KeyStatement(shape, field, value, *both, layout.labels, layout.is_text, layout.counts_from)]
    if layout.key_text:
        name = f"text of its {field}"
        statements.append(KeyStatement(shape, name, layout.key_text, *both, text_only=True))
    plain = {plain_name(name) for name in _KEY_NAMES}
    for other, value in fields.row.items():
        if other == field or plain_name(other) not in plain:
            continue
        try:
            value = key_text(value)
        except UnusableRowError:  # hidden, or not a key
            continue
        statements.append(KeyStatement(shape, other, value, *both, layout.labels, counts_from=layout.counts_from))
    return tuple(statements)


def row_name(given_id: str | None, row: object, position: int) -> str:
    """A row's name in lists: its id, else its number counted from 1."""
    own_id = _whole(Fields(row).value_of(*ID_NAMES)) if isinstance(row, dict) else None
    name = given_id or (str(own_id) if isinstance(own_id, (str, int)) else f"row {position}")
    return name.encode(errors="replace").decode()  # half a surrogate pair cannot be written to a file


def _whole(value: object) -> object:
    """1 for 1.0, which pandas makes of whole numbers in a column with gaps."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


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


def _given_id(given_id: str | None, fields: Fields) -> str | None:
    value = given_id or _whole(fields.value_of(*ID_NAMES))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value is None else _text(value, "the id")


def _category(fields: Fields) -> str | None:
    value = fields.value_of(*_CATEGORY_NAMES)
    return _text(value, "the category") if isinstance(value, str) else None
