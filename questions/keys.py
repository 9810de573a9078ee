"""Which option a row's key names, decided over the whole file: one row does not show how its file counts.

A key is a number, a letter or the text of an option. Every field that states the key is read here.
"""
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_uppercase

from basics.errors import UserError

# If up to this share of the keys contradict the others, these rows are wrong; if more, the file counts in another way.
MOST_STRAY_KEYS = 0.05


class UnusableRowError(Exception):
    """A row that cannot be a question; the message is the reason."""


@dataclass(frozen=True)
class KeyStatement:
    """What one field of a row says about the key.

    shape: of the row; the same field of another shape may count differently. value: as text, never blank. options:
    their texts as shown. as_given: the same with their own letters or numbers. labels: the row's names of its options;
    None = 0, 1, 2, ... or A, B, C, ... text_only: the value is the text of an option, even if it is a number or letter.
    counts_from: the number of the first option without labels; None = 0 or 1, which the whole file decides.
    """

    shape: str
    field: str
    value: str
    options: tuple[str, ...]
    as_given: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    text_only: bool = False
    counts_from: int | None = 0

    @property
    def column(self) -> tuple[str, str]:
        """Statements of the same column are judged together."""
        return self.shape, self.field


def key_text(value: object) -> str:
    """A key as text. Raises UnusableRowError if it is hidden, as in many test splits, or not a single value."""
    if isinstance(value, bool) or (value is not None and not isinstance(value, (str, int, float))):
        raise UnusableRowError(f"the key is {type(value).__name__}, not text or number")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise UnusableRowError("no key")
    text = str(value).strip()
    if text in ("", "-1", "-1.0"):
        raise UnusableRowError("no key")
    return text


def same_text(text: str) -> str:
    """The text for comparisons: lower case, and white space of any length as one blank."""
    return " ".join(text.split()).casefold()


# --- What one statement can mean -----------------------------------------------------------------------------------

_BARE_LABEL = re.compile(r"[(\[]?\s*(\w{1,4}?)\s*[)\].:]{0,2}")
_LABEL_AND_TEXT = re.compile(r"[(\[]?([A-Za-z])[)\].:]+\s*(\S.*)", re.DOTALL)


def _readings(statement: KeyStatement) -> dict[str, int]:
    """The options that a statement can name, by convention: label, number, own number, letter, or text.

    The convention is `number` where options are counted from 0, `number from 0` or `number from 1` where the file shows
    it. Raises UnusableRowError if letter and text disagree.
    """
    found = {"text": _option_with_text(statement)}
    if not statement.text_only:
        bare = _BARE_LABEL.fullmatch(statement.value)
        label = bare[1].casefold() if bare else None
        number = _number(statement.value)
        if statement.labels is not None:
            label = str(number) if number is not None else label
            labels = [one.casefold() for one in statement.labels]
            found["label"] = labels.index(label) if labels.count(label) == 1 else None
            if number is None and all(map(str.isdigit, labels)):
                found |= _letter_readings(statement, label)
        elif number is not None and statement.counts_from is None:
            found |= {"number from 0": number, "number from 1": number - 1}
        elif number is not None:
            found["number"] = number
            found["own number"] = number - 1 if _carries_numbers_from_1(statement) else None
        else:
            found |= _letter_readings(statement, label)
    there = range(len(statement.options))
    return {convention: option for convention, option in found.items() if option in there}


def _letter_readings(statement: KeyStatement, label: str | None) -> dict[str, int | None]:
    return {"letter": _option_of_letter(label), "letter and text": _option_of_letter_and_text(statement)}


def _number(value: str) -> int | None:
    match = re.fullmatch(r"[(\[]?(\d{1,9})(?:\.0+)?[)\].:]?", value, re.ASCII)
    return int(match[1]) if match else None


def _option_of_letter(label: str | None) -> int | None:
    upper = (label or "").upper()
    return ascii_uppercase.index(upper) if len(upper) == 1 and upper in ascii_uppercase else None


def _option_of_letter_and_text(statement: KeyStatement) -> int | None:
    """The option of "B) dog", if that is option B's text."""
    match = _LABEL_AND_TEXT.fullmatch(statement.value)
    if match is None or _option_with_text(statement) is not None:
        return None
    option = _option_of_letter(match[1])
    matches = _with_text(statement.options, match[2].strip())
    if matches and option not in matches:
        raise UnusableRowError("the letter and the text of its key name different options")
    return option if matches else None


def _option_with_text(statement: KeyStatement) -> int | None:
    matches = _with_text(statement.as_given, statement.value) or _with_text(statement.options, statement.value)
    return matches[0] if len(matches) == 1 else None


def _with_text(texts: tuple[str, ...], text: str) -> list[int]:
    """Indices of exactly this text, or if there is none, of texts that differ in white space or capitals only."""
    exact = [index for index, one in enumerate(texts) if one.strip() == text]
    return exact or [index for index, one in enumerate(texts) if same_text(one) == same_text(text)]


def _carries_numbers_from_1(statement: KeyStatement) -> bool:
    firsts = (re.match(r"[(\[]?(\d+)", one.strip()) for one in statement.as_given)
    carried = [match and match[1] for match in firsts]
    return statement.as_given != statement.options and carried == [str(one + 1) for one in range(len(carried))]


# --- What they mean, judged together -------------------------------------------------------------------------------


def read_conventions(statements: Iterable[KeyStatement], dataset: str) -> dict[tuple[str, str], Counter]:
    """By column, how often each convention is the only one that can read a key.

    Raises UserError if the numbers of a field count from the wrong number.
    """
    columns: dict[tuple[str, str], list[KeyStatement]] = {}
    for statement in statements:
        columns.setdefault(statement.column, []).append(statement)
    for (_, field), of_column in columns.items():
        _refuse_other_counting(field, of_column, dataset)
    return {column: _witnesses(of_column) for column, of_column in columns.items()}


def named_option(statement: KeyStatement, witnesses: Counter) -> int:
    """The option that a statement names. witnesses: of its column. Raises UnusableRowError if it is none or unclear."""
    found = _readings(statement)
    if not found:
        several = len(_with_text(statement.options, statement.value)) > 1
        raise UnusableRowError("the key names two options" if several else "the key names no option")
    if len(set(found.values())) == 1 and not _is_stray(statement, found, witnesses):
        return next(iter(found.values()))
    leading = [one for one in found if _outweighs(witnesses, one, [other for other in found if other != one])]
    if len(found) == 1 or not leading:
        raise UnusableRowError(f"the key {statement.value[:40]!r} can be read in two ways: {_ways(found)}")
    return found[leading[0]]


def agrees(statement: KeyStatement, option: int, witnesses: Counter) -> bool | None:
    """Whether another statement of the key names this option; None if it is no option's text, number or letter.

    Raises UnusableRowError as `named_option` does.
    """
    found = _readings(statement)
    if not found and not statement.text_only and re.fullmatch(r"\W?[A-Za-z]\W?", statement.value):
        return False
    return option == named_option(statement, witnesses) if found else None


def _witnesses(statements: list[KeyStatement]) -> Counter:
    counted = Counter()
    for statement in statements:
        try:
            found = _readings(statement)
        except UnusableRowError:
            continue
        if len(found) == 1:
            counted[next(iter(found))] += 1
        elif not found and _is_bare_number(statement):
            counted["nothing"] += 1
    return counted


def _outweighs(witnesses: Counter, convention: str, others: Iterable[str]) -> bool:
    contrary = sum(witnesses[other] for other in others)
    return witnesses[convention] > 0 and contrary <= MOST_STRAY_KEYS * (contrary + witnesses[convention])


# Numbers that name no option at all speak against reading a number as the text of one.
_CONTRARY = {
    "number": ("text",),
    "number from 0": ("text", "number from 1"),
    "number from 1": ("text", "number from 0"),
    "text": ("number", "number from 0", "number from 1", "nothing"),
}


def _is_stray(statement: KeyStatement, found: dict[str, int], witnesses: Counter) -> bool:
    """Whether a number can be read in one way only while the keys of the other rows suggest the other way."""
    if not _is_bare_number(statement) or len(found) != 1 or not found.keys() <= _CONTRARY.keys():
        return False
    (convention,) = found
    others = _CONTRARY[convention]
    return any(witnesses[other] for other in others) and not _outweighs(witnesses, convention, others)


def _is_bare_number(statement: KeyStatement) -> bool:
    """Whether the key is a number that may be an index or a text: not a label, and not a text alone."""
    return _number(statement.value) is not None and statement.labels is None and not statement.text_only


def _ways(found: dict[str, int]) -> str:
    if len(found) > 1:
        return " and ".join(f"as {convention}" for convention in sorted(found))
    ways = "as number from 0 and from 1" if next(iter(found)).startswith("number from") else "as number and as text"
    return f"{ways}, and the other rows do not settle it"


def _refuse_other_counting(field: str, statements: list[KeyStatement], dataset: str) -> None:
    """Raises UserError if numbers that should count from 0 count from 1, or from 0 instead of 1, or both ways."""
    counted = [(one, _place(one)) for one in statements]
    for first in (0, 1):
        places = [(one, place) for one, place in counted if place is not None and _first_number(one) == first]
        beyond = [one for one, place in places if place == (len(one.options) if first == 0 else -1)]
        end = [one for one, place in places if place == (0 if first == 0 else len(one.options) - 1)]
        if not beyond or (first == 0 and _are_texts(places)):
            continue
        if not end:
            raise UserError(_other_counting(field, beyond[0], first, len(beyond), dataset))
        if len(beyond) > 2 and len(beyond) > MOST_STRAY_KEYS * len(places):
            raise UserError(
                f"DATASET = {dataset!r}: {field!r} counts options from 0 in some rows and from 1 in others"
                f" ({len(beyond):,} of {len(places):,} rows name an option that is not there); one way is allowed"
            )


def _other_counting(field: str, example: KeyStatement, first: int, n_beyond: int, dataset: str) -> str:
    if first == 0:
        found = f"no key is 0 and {n_beyond:,} are the number of options (such as {example.value[:20]!r})"
        return (
            f"DATASET = {dataset!r}: {field!r} seems to count options from 1: {found}; it has to count from 0:"
            " subtract 1, or give the letter or the text of the right option"
        )
    return (
        f"DATASET = {dataset!r}: {field!r} seems to count options from 0, their own numbers count from 1:"
        f" {n_beyond:,} keys are 0, none names the last option; add 1 to the keys"
    )


def _first_number(statement: KeyStatement) -> int | None:
    """The number of the first option; None if the options are not numbered one after the other."""
    if statement.labels is None:
        return statement.counts_from
    numbers = [_number(label) for label in statement.labels]
    runs_on = numbers and numbers[0] is not None and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return numbers[0] if runs_on else None


def _place(statement: KeyStatement) -> int | None:
    """The key minus the first option's number; None if it is no number, or may be an option's own number."""
    number, first = _number(statement.value), _first_number(statement)
    if number is None or first is None or statement.text_only:
        return None
    if statement.labels is None and _carries_numbers_from_1(statement):
        return None
    return number - first


def _are_texts(places: list[tuple[KeyStatement, int]]) -> bool:
    """Whether all numbers are texts of options, and counting from 1 fails for one or gives the same options."""
    texts = [_option_with_text(one) for one, _ in places]
    if None in texts:
        return False
    from_1 = [place - 1 for _, place in places]
    is_possible = all(0 <= option < len(one.options) for option, (one, _) in zip(from_1, places, strict=True))
    return not is_possible or from_1 == texts
