"""Records as blocks of JSON for a page: a light index, and chunks with the texts, each parsed when it is needed."""
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from basics.errors import UserError
from scoring.fields import faults
from scoring.record_schema import CELL_NAMES, RECORD_FIELDS, STAGES, STOPPED_NAMES, STOPS, names_filled_by

CHUNK_BYTES = 256_000  # of one chunk, so that opening a record parses a few milliseconds' worth
LIGHT_BYTES = 96  # more than the index spends on a record besides its question
OUTCOMES = ("wrong", "right", "unscored")  # the index holds places in this list and in the next
STOPPED = (*STOPS, None)
LIGHT_FIELDS = ("cell", "outcome", "predicted_option", "confidence", "p_true", "answer_probability", *STOPPED_NAMES)

_UNIT_NAMES = names_filled_by("unit")
_SHOWN_FIELDS = tuple(one for one in RECORD_FIELDS if not one.name.endswith("_thinking_ids"))
_DETAIL_NAMES = tuple(one.name for one in _SHOWN_FIELDS if one.name not in (*_UNIT_NAMES, *CELL_NAMES))

# U+2028 and U+2029 end a line in older JavaScript; half a surrogate pair cannot be written as UTF-8.
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


@dataclass
class Unit:
    """The records of one question in one order of its options and, where a question is thought about several times, of
    one thought.

    light: per record what the index holds. content: the rest as escaped JSON, UTF-8. n_bytes: of both, at most.
    """

    question_id: str
    question: str
    category: str | None
    permutation: int
    thought: int
    correct_option: int
    light: list[dict]
    content: bytes
    n_bytes: int

    @property
    def priority(self) -> tuple:
        """Units with the lowest values are kept: the first orders of the options, questions by the hash of their id."""
        hashed = hashlib.sha256(self.question_id.encode("utf-8", "surrogatepass")).digest()
        return self.permutation, self.thought, hashed, self.question

    @property
    def place(self) -> tuple:
        """Place in the page: by question, numbers in ids as numbers."""
        natural = re.sub(r"\d+", lambda digits: digits.group().zfill(12), self.question_id)
        return natural, self.question, self.permutation, self.thought


@dataclass
class EmbeddedRecords:
    """index: escaped JSON of the light fields; chunks: of the rest, in the index's order.

    n_records: of the file. left_out: per permutation of which units are left out, its number (permutation), all its
    units (n_units) and those left out (n_left_out).
    """

    index: str
    chunks: list[str]
    n_records: int
    n_embedded: int
    left_out: list[dict]


def embed_records(path: Path, max_bytes: int) -> EmbeddedRecords:
    """The records of a `records.jsonl`, at most max_bytes of them: the first units that fit are kept, whole.

    Which ones is decided by the records only, not by their order in the file. Raises UserError naming the line that is
    no record.
    """
    units, n_units, n_records, held_bytes = [], Counter(), 0, 0
    first_out = None  # priority of the first unit that does not fit; those behind it are left out too
    for unit in _units(path):
        n_units[unit.permutation] += 1
        n_records += len(unit.light)
        if first_out is not None and unit.priority >= first_out:
            continue
        units.append(unit)
        held_bytes += unit.n_bytes
        if held_bytes > 1.5 * max_bytes:  # now and then, so that memory stays bounded
            units, first_out = _fitting(units, max_bytes, first_out)
            held_bytes = sum(unit.n_bytes for unit in units)
    units, _ = _fitting(units, max_bytes, first_out)
    left_out = _left_out(units, n_units)
    units.sort(key=lambda unit: unit.place)
    chunks = _chunks(units)
    return EmbeddedRecords(
        index=escaped_json(_index(units, chunks)),
        chunks=[_chunk_json(chunk) for chunk in chunks],
        n_records=n_records,
        n_embedded=sum(len(unit.light) for unit in units),
        left_out=left_out,
    )


def escaped_json(value) -> str:
    """JSON that holds no character which could end or open anything in HTML, and none that UTF-8 lacks."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


# --- reading -----------------------------------------------------------------------------------------------------


def _units(path: Path) -> Iterator[Unit]:
    """One unit per run of lines that agree on the question and its options, as the journal writes them."""
    def key(record: dict) -> list:
        return [*(record[name] for name in _UNIT_NAMES), record.get("thought", 0)]

    for _, records in groupby(_checked_records(path), key=key):
        yield _unit(list(records))


def _checked_records(path: Path) -> Iterator[dict]:
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield _record(line, f"{path}: line {number:,}")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; a report needs the records of a run") from error


def _record(line: bytes, where: str) -> dict:
    try:
        record = json.loads(line, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):  # brackets in brackets without end raise the second
        record = None
    if not line.endswith(b"\n"):
        raise UserError(f"{where} is no record; run the experiment again, it repairs a torn end")
    if not isinstance(record, dict):
        raise UserError(f"{where} is no record; mend the file or move it away, --check says what is wrong")
    if fault := next(faults(_SHOWN_FIELDS, record), None):
        raise UserError(f"{where} is no record of this version of the program: {fault}")
    return record


def _finite(text: str) -> float:
    """Raises ValueError for NaN, Infinity and 1e999, which strict JSON cannot give on."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


# --- one unit ----------------------------------------------------------------------------------------------------


def _unit(records: list[dict]) -> Unit:
    first = records[0]
    records.sort(key=_cell_order)
    texts, references = shared_texts([record[f"{stage}_thinking"] for record in records for stage in STAGES])
    details = []
    for number, record in enumerate(records):
        detail = {name: _rounded(record[name]) for name in _DETAIL_NAMES}
        for stage, reference in zip(STAGES, references[2 * number : 2 * number + 2], strict=True):
            detail[f"{stage}_thinking"] = reference
        details.append(list(detail.values()))
    shown = {"options": first["options"], "correct_option": first["correct_option"], "records": details}
    content = b'{"shown":%b,"thoughts":%b}' % (escaped_json(shown).encode(), escaped_json(texts).encode())
    in_index = escaped_json([first["question_id"], first["question"], first["category"]]).encode()
    return Unit(
        question_id=first["question_id"],
        question=first["question"],
        category=first["category"],
        permutation=first["permutation"],
        thought=first.get("thought", 0),
        correct_option=first["correct_option"],
        light=[_light(record) for record in records],
        content=content,
        n_bytes=len(content) + len(in_index) + LIGHT_BYTES * len(records),
    )


def _cell_order(record: dict) -> tuple:
    return record["total_budget"], record["answer_thinking_ratio"] or 0.0


def shared_texts(texts: list[str | None]) -> tuple[list[str], list[list[int] | None]]:
    """Texts to store, and for each text given where it is: [index of the stored text, its length], None for None.

    A text that begins another one, as a capped thought begins the longer one, is not stored again. A cut inside a
    character shows as U+FFFD and begins nothing: it is stored apart. Lengths in UTF-16 units, as JavaScript counts.
    """
    stored: list[str] = []
    place: dict[str, list[int]] = {}
    for text in sorted({text for text in texts if text is not None}, key=lambda text: (-len(text), text)):
        number = next((number for number, longer in enumerate(stored) if longer.startswith(text)), len(stored))
        if number == len(stored):
            stored.append(text)
        place[text] = [number, len(text.encode("utf-16-le", "surrogatepass")) // 2]
    return stored, [None if text is None else place[text] for text in texts]


def _light(record: dict) -> dict:
    scored = record["error"] is None and record["is_correct"] is not None
    return {
        "cell": tuple(record[name] for name in CELL_NAMES),
        "outcome": OUTCOMES.index(("wrong", "right")[record["is_correct"]] if scored else "unscored"),
        "predicted_option": record["predicted_option"],
        "confidence": record["confidence"],
        **{name: _rounded(record[name]) for name in ("p_true", "answer_probability")},
        **{f"{stage}_stopped": STOPPED.index(record[f"{stage}_stopped"]) for stage in STAGES},
    }


def _rounded(value):
    """Six significant digits: more than the page shows, a third of the bytes; exact values are in the file."""
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


# --- what fits ---------------------------------------------------------------------------------------------------


def _fitting(units: list[Unit], max_bytes: int, first_out: tuple | None) -> tuple[list[Unit], tuple | None]:
    """The first units that fit, and the priority of the first one that does not; first_out is known of others."""
    total, kept = 0, sorted(units, key=lambda unit: unit.priority)
    for number, unit in enumerate(kept):
        total += unit.n_bytes
        if total > max_bytes:
            return kept[:number], unit.priority
    return kept, first_out


def _left_out(kept: list[Unit], n_units: Counter) -> list[dict]:
    n_left_out = n_units - Counter(unit.permutation for unit in kept)
    return [
        {"permutation": permutation, "n_units": n_units[permutation], "n_left_out": n_left_out[permutation]}
        for permutation in sorted(n_left_out)
    ]


# --- blocks ------------------------------------------------------------------------------------------------------


def _chunks(units: list[Unit]) -> list[list[Unit]]:
    chunks, n_bytes = [], 0
    for unit in units:
        if not chunks or n_bytes > CHUNK_BYTES:
            chunks.append([])
            n_bytes = 0
        chunks[-1].append(unit)
        n_bytes += len(unit.content)
    return chunks


def _chunk_json(units: list[Unit]) -> str:
    return (b"[" + b",\n".join(unit.content for unit in units) + b"]").decode()


def _index(units: list[Unit], chunks: list[list[Unit]]) -> dict:
    """Columns: per question its id and text, per unit places of question and category, per record the light fields."""
    questions = _numbered((unit.question_id, unit.question) for unit in units)
    categories = _numbered(sorted({unit.category for unit in units}, key=lambda name: (name is None, name or "")))
    light = [record for unit in units for record in unit.light]
    cells = _numbered(sorted({record["cell"] for record in light}, key=lambda cell: (cell[0], cell[1] or 0.0)))
    return {
        "fields": list(_DETAIL_NAMES),
        "cells": [dict(zip(CELL_NAMES, cell, strict=True)) for cell in cells],
        "categories": list(categories),
        "questions": list(questions),
        "chunk_sizes": [len(chunk) for chunk in chunks],
        "units": {
            "n_records": [len(unit.light) for unit in units],
            "permutation": [unit.permutation for unit in units],
            "thought": [unit.thought for unit in units],
            "correct_option": [unit.correct_option for unit in units],
            "question": [questions[unit.question_id, unit.question] for unit in units],
            "category": [categories[unit.category] for unit in units],
        },
        "records": {name: [record[name] for record in light] for name in LIGHT_FIELDS}
        | {"cell": [cells[record["cell"]] for record in light]},
    }


def _numbered(values: Iterable) -> dict:
    """The distinct values with their places, in the order given."""
    return {value: number for number, value in enumerate(dict.fromkeys(values))}
