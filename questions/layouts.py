"""How a row gives its options and its key, one function per layout.

Each raises UnusableRowError for a row with a fault, OtherShapeError for one that is laid out otherwise.
"""
import re
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from basics.strict_json import sha256_of
from questions.fields import COUNT_FROM_0, is_blank, plain_name
from questions.keys import UnusableRowError, key_text


class OtherShapeError(Exception):
    """The row has the names of a shape's fields and other content: the next shape is tried. The message is why."""


@dataclass(frozen=True)
class Places:
    """Where a shape finds what it needs. question, key: names of fields; options: one name, or one per option."""

    row: dict
    question: str
    options: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Layout:
    """What a shape finds in a row. key: the field and its value; labels: of the options, None if they have none.

    key_text: the option's text, if the key's field states it too, else None. counts_from: the number of the first
    option without labels; None = 0 or 1, which the whole file decides. is_text: the key can only be an option's text.
    """

    options: list
    key: tuple[str, str]
    labels: tuple[str, ...] | None = None
    key_text: str | None = None
    counts_from: int | None = 0
    is_text: bool = False


def read_teleqna_file(places: Places) -> Layout:
    """Fields `option 1` ... and `answer: "option 3: ..."`: the number is the key, the text after it has to agree."""
    row = places.row
    numbers = {field: int(match[1]) for field in row if (match := re.fullmatch(r"option (\d{1,4})", str(field)))}
    by_number = {number: row[field] for field, number in numbers.items()}
    if len(by_number) < len(numbers):  # "option 1" and "option 01"
        raise UnusableRowError("two of its fields have the same option number")
    while by_number and by_number[max(by_number)] in (None, ""):  # tables fill up short rows
        del by_number[max(by_number)]
    if sorted(by_number) != list(range(1, len(by_number) + 1)):
        raise UnusableRowError("its option numbers do not run 1, 2, 3, ...")
    options = [by_number[number] for number in sorted(by_number)]
    value = key_text(row[places.key])
    answer = re.fullmatch(r"\s*option\s+(\d{1,4})\s*(?::(.*))?", value, re.IGNORECASE | re.DOTALL)
    if answer is None:
        raise OtherShapeError("its answer does not begin with an option number")
    labels = tuple(map(str, sorted(by_number)))
    return Layout(options, (places.key, str(int(answer[1]))), labels, (answer[2] or "").strip() or None)


def read_columns(places: Places) -> Layout:
    """One field per option; the key is a letter, a number, the text of an option, or the name of its column."""
    plain = [plain_name(name) for name in places.options]
    names = [re.search(r"[a-z]$|\d+$", one)[0] for one in plain]
    options = [places.row[name] for name in places.options]
    while options and is_blank(options[-1]):  # tables fill up short rows
        options.pop()
    is_numbered = names[0].isdigit()
    expected = range(int(names[0]), 99) if is_numbered else ascii_lowercase
    if [str(one) for one in expected][: len(names)] != [str(int(one)) if is_numbered else one for one in names]:
        raise UnusableRowError("the columns of its options do not run on (A, B, C, ... or 1, 2, 3, ...)")
    value = key_text(places.row[places.key])
    if len(plain[0]) > len(names[0]) and plain_name(value) in plain:
        value = names[plain.index(plain_name(value))]
    labels = tuple(str(int(one)) for one in names[: len(options)]) if is_numbered else None
    return Layout(options, (places.key, value), labels, counts_from=None)


def read_list(places: Places) -> Layout:
    """A list of options, and the number, letter or text of the correct one."""
    (name,) = places.options
    counts_from = 0 if plain_name(places.key) in map(plain_name, COUNT_FROM_0) else None
    key = places.key, key_text(places.row[places.key])
    return Layout(_list(places.row[name], name), key, counts_from=counts_from)


def read_labelled_choices(places: Places) -> Layout:
    """Options with a label each, and the label or text of the correct one."""
    (name,) = places.options
    pairs = _labelled(places.row[name], name)
    labels, options = tuple(str(label).strip(" ()[].:\t") for label, _ in pairs), [text for _, text in pairs]
    key = key_text(places.row[places.key])
    if labels.count(key) > 1:
        raise UnusableRowError("the key names two options")
    return Layout(options, (places.key, key), labels)


def _labelled(value: object, name: str) -> list[tuple[object, object]]:
    """(label, text) per option: of an object of two lists, of an object by label, or of a list of objects."""
    if isinstance(value, dict) and value.keys() >= {"text", "label"}:
        texts, labels = _list(value["text"], f"{name}.text"), _list(value["label"], f"{name}.label")
        if len(texts) != len(labels):
            raise UnusableRowError(f"{name} has not as many labels as texts")
        return list(zip(labels, texts, strict=True))
    if isinstance(value, dict) and value and not any(isinstance(one, (dict, list)) for one in value.values()):
        there = [(label, text) for label, text in value.items() if text is not None]  # Parquet fills up with None
        are_letters = all(len(str(label)) == 1 for label, _ in there)
        return sorted(there, key=lambda pair: str(pair[0])) if are_letters else there
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        for label, text in (("label", "text"), ("key", "value"), ("key", "text")):
            if all(one.keys() >= {label, text} for one in value):
                return [(one[label], one[text]) for one in value]
    raise OtherShapeError(f"{name} is {type(value).__name__}, not options with a label each")


def read_lettered_options(places: Places) -> Layout:
    """Options that may begin with their own letter ("A)21"): all of them in order, or none."""
    (name,) = places.options
    layout = Layout(_list(places.row[name], name), (places.key, key_text(places.row[places.key])))
    prefixed = [re.match(r"\s*\(?([A-Z])\)", str(option)) for option in layout.options]
    letters = [match and match[1] for match in prefixed]
    if any(prefixed) and letters != list(ascii_uppercase[: len(letters)]):
        raise UnusableRowError("its options do not begin with A), B), C), ...")
    return layout


def read_numbered_list(places: Places) -> Layout:
    """A list of options that begin with their own number, from 1, and the number of the correct one."""
    layout = read_list(places)
    return Layout(layout.options, layout.key, tuple(map(str, range(1, len(layout.options) + 1))))


def read_right_and_wrong(places: Places) -> Layout:
    """One field with the right option and one per wrong option."""
    options = [places.row[name] for name in places.options if not is_blank(places.row[name])]
    return _in_drawn_order(places, options, key_text(places.row[places.key]))


def read_marked_options(places: Places) -> Layout:
    """Options with a 1 for the right one and a 0 for each other: two lists, or an object from text to mark."""
    (name,) = places.options
    value = places.row[name]
    if not isinstance(value, dict):
        raise OtherShapeError(f"{name} is {type(value).__name__}, not an object")
    if value.keys() >= {"choices", "labels"}:
        texts, marks = _list(value["choices"], f"{name}.choices"), _list(value["labels"], f"{name}.labels")
        if len(texts) != len(marks):
            raise UnusableRowError(f"{name} has not as many labels as choices")
        value = list(zip(texts, marks, strict=True))
    else:
        value = list(value.items())
    right = [option for option, mark in value if mark == 1]
    if len(right) != 1 or any(mark not in (0, 1) for _, mark in value):
        raise UnusableRowError(f"{name} marks {len(right)} options as right; one is needed")
    return _in_drawn_order(places, [option for option, _ in value], key_text(right[0]))


def _in_drawn_order(places: Places, options: list, right: str) -> Layout:
    """The options in an order that does not tell the right one, which stands first in such files.

    The order is that of the SHA-256 of question and option.
    """
    question = places.row[places.question]
    drawn = sorted(options, key=lambda option: sha256_of([str(question), str(option)]))
    return Layout(drawn, (places.key, right), is_text=True)


def _list(value: object, name: str) -> list:
    if not isinstance(value, list):
        raise OtherShapeError(f"{name} is {type(value).__name__}, not a list")
    return value
