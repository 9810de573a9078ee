"""Options that carry letters or numbers of their own, and lose them."""
import re
from string import ascii_lowercase, ascii_uppercase

from questions.keys import UnusableRowError

_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_SERIES = (
    tuple(ascii_uppercase), tuple(ascii_lowercase), tuple(map(str, range(1, 27))),
    tuple(map(str, range(26))), _ROMAN, tuple(map(str.upper, _ROMAN)),
)  # fmt: skip
# A blank or a word follows a full stop, and no digit follows a colon: "1.5" is a number, "1: 2" a ratio.
_STYLES = (
    r"\(({})\)(.*)", r"（({})）(.*)", r"\[({})\](.*)", r"({})[)）](.*)", r"({})[.．](\s.*|[^\W\d_]{{2}}.*)",
    r"({})、(.*)", r"({})[:：](\s+\D.*)", r"(?i:option|choice|answer)\s+({})\s*[:.)](.*)",
)  # fmt: skip
_LABEL = r"[A-Z]|[a-z]|\d{1,2}|[ivx]{1,4}|[IVX]{1,4}"
_OWN_LABELS = tuple(re.compile(style.format(_LABEL), re.DOTALL) for style in _STYLES)


def without_own_labels(options: tuple[str, ...]) -> tuple[str, ...]:
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
