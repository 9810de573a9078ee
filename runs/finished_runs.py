"""Finished runs as other programs of results read them: their folder, their records, the questions that they share."""
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from basics.errors import UserError
from basics.strict_json import OTHER_SHAPE, strict_json
from runs.results_folder import run_folders

Taken = TypeVar("Taken")


def only_run_folder(verb: str, name: str) -> Path:
    """The run folder that has this name, or the only one in the folder of this name.

    verb: the flag that asks, as the error names it. Raises UserError if there is no run or more than one.
    """
    runs = run_folders(Path(name).expanduser())
    if not runs:
        raise UserError(f"{verb} {name}: no results there; name the folder of a finished run")
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs)
        raise UserError(f"{verb} {name}: {len(runs)} runs are there; name the folder of one of them ({names})")
    if not (runs[0] / "config.json").exists():
        raise UserError(f"{runs[0]}: config.json is missing; name the folder of a finished run")
    return runs[0]


def save_dir_of(run: Path) -> Path:
    """The folder in which a run folder lies, also of one that is named `.`."""
    return Path(os.path.abspath(run)).parent


def n_units_wanted(config: dict) -> int:
    """Units of a whole run, from its `config.json`. Raises one of OTHER_SHAPE."""
    identity = config["identity"]
    n_thoughts = identity.get("n_thoughts", 1)  # a run of a version without this part has one
    return int(config["questions"]["used"]) * int(identity["n_permutations"]) * int(n_thoughts)


def read_each_record(path: Path, read: Callable[[object], Taken]) -> Iterator[Taken]:
    """What `read` takes of each whole record of a journal, in order; a line without an end counts as missing.

    Raises UserError if the file cannot be read, and with the line's number for whatever `read` raises at another shape.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield _read_line(path, number, line, read)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _read_line(path: Path, number: int, line: bytes, read: Callable[[object], Taken]) -> Taken:
    try:
        return read(strict_json(line))
    except OTHER_SHAPE as error:
        raise UserError(
            f"{path}: line {number:,} is no record of this run ({type(error).__name__}: {error}); --check says what is"
            " wrong"
        ) from error


@dataclass(frozen=True)
class CommonQuestions:
    """The questions that all runs have. indices: per run (questions,), where they stand in it; ids: theirs, ascending.

    left_out: per run, how many of its questions some other run lacks, or has with another text, options or key.
    """

    ids: list[str]
    indices: list[np.ndarray]
    left_out: list[int]

    def __len__(self):
        return len(self.ids)


def common_questions(verb: str, names: Sequence[str], contents: Sequence[dict[str, str]]) -> CommonQuestions:
    """Pairs the questions of runs by id and content. Raises UserError if the runs have none in common.

    verb: the flag that asks; names: of the runs; contents: per run, question id -> a hash of what has to be the same,
    with the ids in ascending order.
    """
    first, *others = contents
    ids = [one for one, content in first.items() if all(other.get(one) == content for other in others)]
    if not ids:
        n_same_ids = len(set(first).intersection(*others))
        raise UserError(
            f"{verb}: {' and '.join(names)} have no question in common (same id, text, options and key); ids in all of"
            f" them: {n_same_ids:,}"
        )
    places = [{one: place for place, one in enumerate(content)} for content in contents]
    indices = [np.array([place[one] for one in ids]) for place in places]
    return CommonQuestions(ids, indices, [len(content) - len(ids) for content in contents])
