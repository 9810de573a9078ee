"""The fields of a row by their names, whatever capitals, blanks, hyphens and underscores these are written with."""
import re
from functools import lru_cache

# Names are compared without capitals, blanks, hyphens and underscores.
QUESTION_NAMES = ("question", "question_stem", "stem", "question_text", "ctx", "prompt", "query", "problem")
LIST_NAMES = ("choices", "options", "answers", "endings", "answer_choices", "alternatives", "candidates")
# Of the key. Numbers in the first ones count from 0; for the others the whole file shows how they count.
COUNT_FROM_0 = ("answer_index", "answer_idx", "correct_index", "label", "answer")
KEY_NAMES = (
    *COUNT_FROM_0[:4], "answer_key", "answer_letter", "correct_letter", "correct_option", "correct_choice", "correct",
    "correct_answer", "right_answer", "cop", "gold", "target", "key", "answer", "answer_text",
)  # fmt: skip


@lru_cache(maxsize=10_000)
def plain_name(name: object) -> str:
    """The name in lower case without blanks, hyphens and underscores: `Option A` and `option_a` are `optiona`."""
    return re.sub(r"[\s_-]+", "", str(name)).lower()


class Fields:
    """The names of a row's fields. row: its values by name."""

    def __init__(self, row: dict):
        self.row, self._names = row, {}
        for name in row:
            if name is not None:
                self._names.setdefault(plain_name(name), []).append(name)

    def name_of(self, *alternatives: str) -> str | None:
        """The row's name of the first alternative that it has, an exact name before others; None without any."""
        for one in alternatives:
            if one in self.row:
                return one
            if plain_name(one) in self._names:
                return self._names[plain_name(one)][0]
        return None

    def value_of(self, *alternatives: str) -> object:
        """The first value among the alternatives that is not None, not blank and not NaN; None if there is none."""
        for one in alternatives:
            for name in [one] if one in self.row else self._names.get(plain_name(one), []):
                if not is_blank(self.row[name]):
                    return self.row[name]
        return None

    def doubled(self, names: tuple[str, ...]) -> str | None:
        """The first of these names that another field shares but for capitals and blanks; None if there is none."""
        return next((name for name in names if len(self._names[plain_name(name)]) > 1), None)


def is_blank(value: object) -> bool:
    """Whether a cell holds nothing: None, white space or NaN."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())
