"""Hostile question files and runs of hostile questions, drawn by hypothesis; and what must hold for every one.

`checks/fuzz.py` draws many, the tests a few.
"""
import csv
import gzip
import io
import json
import re
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow
from hypothesis import strategies as st
from pyarrow import parquet

from basics.errors import UserError, one_line
from basics.files import write_json
from evaluation_tool import prompts_identity, summarise
from questions.option_orders import permuted
from questions.question_sets import Question, QuestionSet, fingerprint, load_questions
from runs.budgets import make_cells
from runs.check import run_problems
from runs.computation import compute_records, open_journal
from runs.journal import read_records
from runs.results_folder import SCHEMA_VERSION, run_name
from runs.units import make_units
from thinking.model_interface import Reading, ReadoutResult

# --- Hostile files -------------------------------------------------------------------------------------------------

NASTY = (
    "", " ", "\0", "a\nb", "../../../etc/passwd", "/", "..", "C:\\con", "a/b", "\u202egnp.exe", "\u200b", "\ufeff",
    "\x1b[2J", "\ud800", "\udfff\ud800", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)//", "\"' onmouseover=alert(1) x='", "javascript:alert(1)", "<!--", "]]>",
    "&lt;b&gt;", "{{7*7}}", "{% raw %}", "${7*7}",
    "<|im_end|>", "<think>", "</think>", "<|endoftext|>", "Answer: A", "A", "B)", "A) x", "option 1", "Option ٣",
    "option 1: x", "All of the above", "Both A and B", "NaN", "1e999", "-1", "1.0", "٣", "[" * 300, "__import__('os')",
    "'\\d'", "[1 is 1]", "{'a': [1]}", "=cmd|' /C calc'!A0", "\u2028", "\x85", "e\u0301" * 20, "\U0001d54f" * 9,
    "x" * 5000,
)  # fmt: skip
any_text = st.one_of(st.sampled_from(NASTY), st.text(max_size=30), st.text(st.characters(codec=None), max_size=5))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 30), st.sampled_from([10**30, -(2**63), 0.0, 1.0, 2.5]),
    st.floats(), any_text,
)  # fmt: skip
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(any_text, inner, max_size=4), max_leaves=8
)
written_text = any_text.filter(str.strip)
some_options = st.one_of(
    st.lists(written_text, min_size=2, max_size=5, unique=True), st.lists(any_text, max_size=28),
    st.sampled_from([["x", "y"], ["A)x", "B)y"], ["x", "x", "y"]]),
)  # fmt: skip


def _or_anything(strategy):
    """Mostly what belongs in the field, so that a row comes far, sometimes anything."""
    return st.integers(0, 11).flatmap(lambda draw: strategy if draw else json_values)


_IDS = {name: _or_anything(any_text | st.integers(0, 3)) for name in ("id", "question_id")}
_TAGS = {name: _or_anything(any_text) for name in ("category", "subject")}
_QUESTION = _or_anything(written_text)
_KEY = _or_anything(st.sampled_from([0, 1, "A", "B", 0, 1, "A", "B", -1, 2, 6, "0", "1", "E", "1.0", " 2 "]))
_CHOICES = _or_anything(
    some_options.flatmap(
        lambda options: st.fixed_dictionaries(
            {"text": st.just(options), "label": st.just(list("ABCDEFGH")[: len(options)]) | some_options}
        )
    )
)
_SHAPES = (
    {"question": _QUESTION, "choices": _or_anything(some_options), "answer": _KEY},
    {"question": _QUESTION, "choices": _CHOICES, "answerKey": _KEY},
    {"question_stem": _QUESTION, "choices": _CHOICES, "answerKey": _KEY},
    {"question": _QUESTION, "options": _or_anything(some_options), "answer_index": _KEY},
    {"question": _QUESTION, "options": _or_anything(some_options), "correct": _KEY},
    {
        "question": _QUESTION, "option 1": _or_anything(written_text), "option 2": _or_anything(written_text),
        "answer": _or_anything(st.sampled_from(["option 1", "option 2: x", "option 1: x", "option 3", "Option ٢"])),
    },
    {"question": _QUESTION, "option 1": any_text, "option 2": any_text, "label": _KEY},
    {"question": _QUESTION, "A": any_text, "B": any_text, "answer": _KEY},
    {" Question": _QUESTION, "Option A": any_text, "option_b": any_text, "ANSWER": _KEY, "answer ": _KEY},
    {"question": _QUESTION, "opa": leaves, "opb": leaves, "cop": _KEY},
    {"ctx": _QUESTION, "endings": _or_anything(some_options), "label": _KEY},
    {"question": _QUESTION, "correct_answer": leaves, "distractor1": leaves, "distractor2": leaves},
    {"question": _QUESTION, "correct_answer": leaves, "incorrect_answers": _or_anything(some_options)},
    {"question": _QUESTION, "mc1_targets": _or_anything(
        st.dictionaries(any_text, st.sampled_from([0, 1, 1.0, True, None, "1"]), max_size=4)
        | st.fixed_dictionaries({"choices": some_options, "labels": st.lists(st.integers(0, 1), max_size=5)}))},
    {"question": _or_anything(st.fixed_dictionaries({"stem": _QUESTION, "choices": _CHOICES})), "answerKey": _KEY},
    {"question": _QUESTION, "answer_idx": _KEY,
     "options": _or_anything(st.dictionaries(st.sampled_from("ABCDab1"), any_text, max_size=5))},
)  # fmt: skip
_MORE_OPTIONS = {name: any_text for name in ("option 3", "option 03", "option ٣", "option 4", "option 9999")}
rows = st.one_of(
    *(st.fixed_dictionaries(shape, optional=_IDS | _TAGS | _MORE_OPTIONS) for shape in _SHAPES),
    st.tuples(_QUESTION, _CHOICES, _KEY).map(list), json_values,
)


def _as_json(values) -> bytes:
    return json.dumps(values, ensure_ascii=True).encode()


def _as_csv(values, separator=",") -> bytes:
    dictionaries = [value for value in values if isinstance(value, dict)] or [{}]
    header = sorted({str(name) for value in dictionaries for name in value})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, quoting=csv.QUOTE_MINIMAL, delimiter=separator)
    writer.writeheader()
    for value in dictionaries:
        writer.writerow(
            {str(name): json.dumps(cell) if isinstance(cell, (list, dict)) else cell for name, cell in value.items()}
        )
    return text.getvalue().encode("utf-8", errors="surrogatepass")


def _as_parquet(values) -> bytes:
    """Whatever of the rows Arrow can hold; its columns are of one type each, so texts are tried when a mix fails."""
    dictionaries = [value for value in values if isinstance(value, dict) and value] or [{"question": "x"}]
    sink = io.BytesIO()
    try:
        table = pyarrow.Table.from_pylist(dictionaries)
        parquet.write_table(table, sink)
    except (pyarrow.ArrowException, UnicodeError, OverflowError, TypeError, ValueError):
        return b"PAR1" + repr(dictionaries).encode(errors="replace")
    return sink.getvalue()


_WRITERS = {
    ".json": _as_json,
    ".txt": _as_json,
    ".jsonl": lambda values: b"\n".join(map(_as_json, values)),
    ".jsonl.gz": lambda values: gzip.compress(b"\n".join(map(_as_json, values))),
    ".csv": _as_csv,
    ".tsv": lambda values: _as_csv(values, "\t"),
    ".parquet": _as_parquet,
}


@st.composite
def question_files(draw) -> tuple[str, bytes]:
    """(suffix, content): rows in every format, some with bytes changed, and bytes of no format at all."""
    suffix = draw(st.sampled_from(sorted(_WRITERS)))
    if draw(st.integers(0, 9)) == 0:
        return suffix, draw(st.binary(max_size=200))
    values = draw(st.lists(rows, min_size=1, max_size=4))
    if draw(st.booleans()):
        values.append({"question": "Which?", "choices": ["x", "y"], "answer": 0})
    if suffix in (".json", ".txt") and draw(st.booleans()):
        names = draw(st.sampled_from([("", "0"), ("data", "test"), ("train", "test")]))
        wrapped = {draw(any_text) + str(number): value for number, value in enumerate(values)}
        values = wrapped if names[0] == "" else {name: draw(st.sampled_from([values, wrapped])) for name in names}
    content = bytearray(_WRITERS[suffix](values))
    if draw(st.integers(0, 4)) == 0 and content:
        for _ in range(draw(st.integers(1, 5))):
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    is_text = suffix not in (".parquet", ".jsonl.gz")
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-16", "latin-1"])) if is_text else "utf-8"
    if encoding != "utf-8":
        return suffix, content.decode("utf-8", errors="replace").encode(encoding, errors="replace")
    return suffix, bytes(content)


def extreme_files(long: int = 1_000_000) -> list[tuple[str, str, bytes]]:
    """(name, suffix, content) of what is too large or too deep to be drawn. long: characters of a long text."""
    usable = {"question": "Q?", "choices": ["x", "y"], "answer": 0}
    text, deep = "x" * long, 100_000
    row = {"question": "Q?", "answer": 0}
    return [
        ("a long option", ".json", _as_json([row | {"choices": [text, "y"]}])),
        ("a question with many blanks", ".json", _as_json([usable | {"question": "Q" + " " * long + "Q"}])),
        ("a long option of 'all of the '", ".json", _as_json([row | {"choices": ["all of the " * (long // 11), "y"]}])),
        ("a long option of 'option '", ".json", _as_json([row | {"choices": ["option ((" * (long // 9), "y"]}])),
        ("a long option of '!'", ".json", _as_json([row | {"choices": ["!" * long, "y"]}])),
        ("a long option of 'A '", ".json", _as_json([row | {"choices": ["A " * (long // 2), "y"]}])),
        ("10,000 options", ".json", _as_json([usable, row | {"choices": [str(n) for n in range(10_000)]}])),
        ("10,000 numbered options", ".json", _as_json(
            [usable, {"question": "Q?", "answer": "option 1"} | {f"option {n}": str(n) for n in range(1, 10_001)}])),
        ("a long id", ".json", _as_json([usable | {"id": text}, usable | {"id": text, "answer": 1}])),
        ("a long field name", ".json", _as_json([{text: 1}])),
        ("100,000 brackets", ".json", b"[" * deep),
        ("100,000 nested lists", ".json", b"[" * deep + b"]" * deep),
        ("900 nested lists as key", ".json", _as_json([usable]).replace(b': 0', b": " + b"[" * 900 + b"]" * 900)),
        ("90,000 nested lists in a cell", ".csv", b'question,choices,answer\nQ?,"' + b"[" * 90_000 + b'",0\n'),
        ("90,000 minus signs in a cell", ".csv", b'question,choices,answer\nQ?,"' + b"-" * 90_000 + b'1",0\n'),
        ("a Python literal that warns", ".csv", b"question,choices,answer\nQ?,\"['\\d', 'y']\",0\n"),
        ("a number of 5,000 digits", ".jsonl", _as_json(usable).replace(b": 0", b": " + b"1" * 5000)),
        ("a numpy list of many texts that does not end", ".csv",
         b'question,choices,answer\nQ?,"[' + b"'a' " * (long // 20) + b'",0\n'),
        ("a numpy list of many quotes", ".csv", b'question,choices,answer\nQ?,"[' + b"'" * (long // 20) + b']",0\n'),
        ("calls within calls in a cell", ".csv", b'question,choices,answer\nQ?,"[' + b"array(" * 5000 + b'",0\n'),
        ("wrappers within wrappers", ".json", b'{"data": ' * 900 + b"[]" + b"}" * 900),
        ("doubled columns", ".parquet", _doubled_columns()),
        ("two spellings of option 1", ".json", _as_json(
            [usable, {"question": "Q?", "answer": "option 1", "option 1": "x", "option 01": "z", "option 2": "y"}])),
        ("other digits", ".json", _as_json(
            [usable, {"question": "Q?", "answer": "option 1", "option 1": "x", "option \u0661": "z"}])),
    ]  # fmt: skip


def _doubled_columns() -> bytes:
    sink = io.BytesIO()
    columns = [pyarrow.array(["Q?"]), pyarrow.array([["x", "y"]]), pyarrow.array([0]), pyarrow.array([1])]
    table = pyarrow.Table.from_arrays(columns, names=["question", "choices", "answer", "answer"])
    parquet.write_table(table, sink)
    return sink.getvalue()


def check_loading(path: Path) -> QuestionSet | None:
    """The question set of a file, None if it is refused in one line. Whatever else happens is a fault and raises."""
    try:
        with only_written_under(None):
            question_set = load_questions(str(path), None, "test")
    except UserError as error:
        assert repr(str(path)) in str(error), "the line does not name the file"
        assert one_line(str(error)).isprintable(), "the line holds what no terminal should be given"
        return None
    ids = [question.question_id for question in question_set.questions]
    assert 0 < len(ids) == len(set(ids)), "an id occurs twice"
    for question in question_set.questions:
        assert 2 <= len(question.options) <= 26
        assert question.options.count(question.options[question.correct_option]) == 1
        for text in (question.question_id, question.question, *question.options, question.category or "x"):
            assert text.strip() == text != ""
        for number in range(3):
            shown = permuted(question, number, 1)
            assert shown.options == tuple(question.options[index] for index in shown.option_order)
            assert shown.options[shown.correct_option] == question.options[question.correct_option]
    said = [question_set.skipped, question_set.notes, list(map(asdict, question_set.readings))]
    json.dumps(said, allow_nan=False, ensure_ascii=False).encode()
    json.dumps([asdict(one) for one in question_set.questions], allow_nan=False, ensure_ascii=False).encode()
    fingerprint(question_set.questions)
    return question_set


_watched: list[Path | None] = []


def _audit(event, arguments):
    """Python calls this before it opens, makes, renames or removes anything, or starts a program."""
    if not _watched:
        return
    if event == "open":
        path, mode, flags = arguments
        if not isinstance(path, (str, bytes)) or not (set(mode or "") & set("wax+") or (flags or 0) & 0o103):
            return
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.truncate", "os.chmod"):
        path = arguments[1] if event in ("os.rename", "os.symlink") else arguments[0]
    elif event in ("exec", "compile", "import", "pickle.find_class"):
        return
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.fork", "socket.connect"):
        raise AssertionError(f"{event} {arguments}")
    else:
        return
    inside = _watched[-1]
    if isinstance(path, int) or str(path) == "/dev/null" or "__pycache__" in str(path):
        return
    if inside is None or not Path(str(path)).resolve().is_relative_to(inside.resolve()):
        raise AssertionError(f"{event} outside of {inside}: {path!r}")


sys.addaudithook(_audit)


@contextmanager
def only_written_under(folder: Path | None):
    """Raises AssertionError inside if anything is written elsewhere (None: anywhere) or a program is started."""
    _watched.append(folder)
    try:
        yield
    finally:
        _watched.pop()


# --- Runs of hostile questions -------------------------------------------------------------------------------------

_kept_text = any_text.map(lambda text: text.encode(errors="replace").decode().strip()).filter(bool)


@st.composite
def hostile_questions(draw) -> list[Question]:
    """Questions as the loader could give them: any texts, ids distinct."""
    found = []
    for question_id in draw(st.lists(_kept_text, min_size=1, max_size=4, unique=True)):
        options = draw(st.lists(_kept_text, min_size=2, max_size=5, unique=True))
        correct_option = draw(st.integers(0, len(options) - 1))
        category = draw(st.none() | _kept_text)
        found.append(Question(question_id, draw(_kept_text), tuple(options), correct_option, category))
    return found


class HostileModel:
    """Thinks a hostile text, chooses by the length of the prompt, and breaks now and then."""

    def __init__(self, thought: str, breaks: bool):
        self.thought, self.breaks = thought, breaks

    def read_thoughts(self, requests):
        """As `model_interface.ReasoningModel` promises."""
        return [[self._reading(request, cap, index) for cap in request.caps] for index, request in enumerate(requests)]

    def _reading(self, request, cap, index):
        readouts = {}
        for name, readout in request.readouts.items():
            weights = np.random.default_rng(len(request.user_text) + cap).random(len(readout.choices)) + 0.01
            readouts[name] = ReadoutResult((weights / weights.sum()).tolist(), 0.5)
        reading = Reading(cap, [7] * cap, self.thought, "capped" if cap else "none", 1, 2, 3, readouts)
        if self.breaks and index % 2:
            return replace(reading, readouts=dict.fromkeys(readouts), error="logits not finite in the read-out")
        return reading


def write_hostile_run(save_dir: Path, questions: list[Question], thought: str, breaks: bool) -> Path:
    """A finished run folder of the questions, written by the program's own functions."""
    cells = make_cells([0, 10], [0, 0.5])
    units = make_units(questions, 2, 1)
    identity = {
        "schema_version": SCHEMA_VERSION, "questions": fingerprint(questions), "seed": 1, "n_permutations": 2,
        "n_thoughts": 1, "cells": [asdict(cell) for cell in cells], "model": thought, "prompts": prompts_identity(),
    }  # fmt: skip
    settings = {"model_name": questions[0].question, "DATASET": questions[0].question_id, "TARGET_ERROR": 0.05}
    folder = save_dir / run_name(settings["model_name"], settings["DATASET"], cells, identity)
    folder.mkdir(parents=True)
    config = {
        "is_demo": False, "settings": settings, "identity": identity, "processes": [],
        "questions": {"loaded": len(questions), "used": len(questions), "n_skipped": 1,
                      "skipped": [{"row": thought, "reason": thought}], "notes": [{"row": thought, "note": thought}]},
    }  # fmt: skip
    write_json(folder / "config.json", config)
    journal = open_journal(folder / "records.jsonl", units, cells)
    journal.append(compute_records(HostileModel(thought, breaks), units, cells, 1, 4))
    summary = summarise(read_records(folder / "records.jsonl"), 0.05, 1)
    write_json(folder / "summary.json", summary | {"run": config})
    return folder


def check_run(folder: Path, questions: list[Question]) -> None:
    """The run can be read back as it was written, and `--check` has nothing to say against it."""
    assert list(run_problems(folder)) == []
    read = {record["question_id"] for record in read_records(folder / "records.jsonl")}
    assert read == {one.question_id for one in questions}


def harmless_twin(questions: list[Question], thought: str) -> tuple[list[Question], str]:
    """The same questions with a word of letters for every text, equal where the texts are and in the same order."""
    texts = {thought}
    for one in questions:
        texts |= {one.question_id, one.question, *one.options, *([one.category] if one.category else [])}
    letters = str.maketrans("0123456789", "abcdefghij")
    word = {text: "w" + f"{rank:04}".translate(letters) for rank, text in enumerate(sorted(texts))}
    twins = [
        Question(word[one.question_id], word[one.question], tuple(word[option] for option in one.options),
                 one.correct_option, one.category and word[one.category])
        for one in questions
    ]  # fmt: skip
    return twins, word[thought]


class _Structure(HTMLParser):
    """Counts elements with their attributes; keeps what could run."""

    def __init__(self):
        super().__init__()
        self.elements, self.active = Counter(), set()

    def handle_starttag(self, tag, attributes):
        names = tuple(sorted(name for name, _ in attributes))
        self.elements[tag, names] += 1
        for name, value in attributes:
            if name.startswith("on") or re.match(r"\s*(javascript|data|vbscript):", value or "", re.IGNORECASE):
                self.active.add((tag, name, value))


def structure(html: str) -> tuple[set, set]:
    """Kinds of elements with the names of their attributes, and attributes that can run something."""
    parser = _Structure()
    parser.feed(html)
    parser.close()
    return set(parser.elements), {(tag, name) for tag, name, _ in parser.active}


def check_page(html: str, of_twin: str) -> None:
    """A page about hostile texts is built like the page about their harmless twins: no text became markup."""
    (kinds, active), (twin_kinds, twin_active) = structure(html), structure(of_twin)
    assert kinds <= twin_kinds, f"markup from a text: {sorted(kinds - twin_kinds)}"
    assert active <= twin_active, f"a text that could run: {sorted(active - twin_active)}"
