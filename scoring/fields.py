"""What a field of a JSON file is: type, unit, range, meaning. It is declared once; checks and tables derive from it."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_JSON_TYPES = {
    "text": (str,),
    "whole number": (int,),
    "number": (int, float),
    "truth value": (bool,),
    "object": (dict,),
}


@dataclass(frozen=True)
class Field:
    """One field.

    kind: a key of _JSON_TYPES; is_list: a list of such values. unit: empty for a value without one. span: smallest and
    largest value, None for no end. choices: the texts that are allowed, if only some are. is_nullable: null means that
    there is no value. parts: the fields of an object. filled_by: who knows the value. role: what the scoring of records
    does with it. better: which values are better, such as `low`.
    """

    name: str
    kind: str
    meaning: str = ""
    unit: str = ""
    span: tuple[float | None, float | None] = (None, None)
    choices: tuple[str, ...] = ()
    parts: tuple["Field", ...] = ()
    is_list: bool = False
    is_nullable: bool = False
    filled_by: str = ""
    role: str = ""
    better: str = ""
    types: frozenset[type] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "types", frozenset(_JSON_TYPES[self.kind]))

    def fault(self, value) -> str | None:
        """What is wrong with a value read from JSON, in words; None if the field may hold it."""
        if value is None:
            return None if self.is_nullable else f"{self.name} is null"
        if self.is_list and type(value) is not list:
            return f"{self.name} is {_shown(value)}, where a {self.type_words} belongs"
        for one in value if self.is_list else (value,):
            if type(one) not in self.types:
                return f"{self.name} holds {_shown(one)}, where a {self.kind} belongs"
            if fault := self._value_fault(one):
                return fault
        return None

    def _value_fault(self, one) -> str | None:
        low, high = self.span
        if (low is not None and one < low) or (high is not None and one > high):
            return f"{self.name} {one} is not {self.span_words}"
        if self.choices and one not in self.choices:
            return f"{self.name} is {_shown(one)}, allowed is {', '.join(self.choices)}"
        if self.parts and (fault := next(faults(self.parts, one), None)):
            return f"{self.name}: {fault}"
        return None

    @property
    def type_words(self) -> str:
        """The JSON type in words: `list of numbers`."""
        return f"list of {self.kind}s" if self.is_list else self.kind

    @property
    def span_words(self) -> str:
        """The range in words; empty without one."""
        low, high = self.span
        if low is None:
            return "" if high is None else f"at most {high:g}"
        return f"{low:g} or more" if high is None else f"between {low:g} and {high:g}"


def _shown(value) -> str:
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."


def faults(fields: Iterable[Field], values: dict) -> Iterator[str]:
    """What is wrong with an object that should have these fields, in words; further fields are no fault."""
    for one in fields:
        fault = one.fault(values[one.name]) if one.name in values else f"it lacks {one.name!r}"
        if fault:
            yield fault


def in_order(fields: Iterable[Field], values: dict) -> dict:
    """The values in the order of the fields. Raises RuntimeError if their names are others: a fault of the program."""
    names = [one.name for one in fields]
    if values.keys() != (declared := dict.fromkeys(names)).keys():
        raise RuntimeError(f"declared and filled fields differ: {', '.join(sorted(values.keys() ^ set(names)))}")
    return declared | values


def text_names(fields: Iterable[Field]) -> set[str]:
    """Names of the fields that hold texts, those of objects within included."""
    names = set()
    for one in fields:
        names |= {one.name} if one.kind == "text" else text_names(one.parts)
    return names
