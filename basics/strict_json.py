"""Strict JSON, and hashes of it. Refuses `NaN`, `Infinity` and very deep nesting."""
import hashlib
import json
from typing import NoReturn

_DEEPEST = 100  # brackets within brackets; the program's own files have 8


# What code raises when it reads JSON of another shape.
OTHER_SHAPE = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)


def canonical_json(value) -> str:
    """One text per value, for hashing: strict JSON with sorted keys and no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256_of(value) -> str:
    """Hexadecimal SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def strict_json(text: str | bytes):
    """The value. Raises ValueError for anything but strict JSON of at most 100 levels."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("brackets within brackets") from None
    opening = "[{" if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, opening)) > _DEEPEST and _is_deeper(value):
        raise ValueError("brackets within brackets")
    return value


def _is_deeper(value) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        nested = [one for one in level if isinstance(one, (dict, list))]
        level = [inner for one in nested for inner in (one.values() if isinstance(one, dict) else one)]
    return bool(level)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
