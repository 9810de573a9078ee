"""A run on disk: its name, `config.json`, the journal `records.jsonl`, `summary.json`.

Nothing in a run folder is written through a symbolic link: who may write there could have any file overwritten.
"""
import errno
import fcntl
import hashlib
import json
import os
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

from errors import UserError

_DEEPEST = 100  # brackets within brackets; the program's own files have 8
# Of records.jsonl and summary.json, and of the rules behind a record that no text shows: which questions are drawn, the
# orders of their options, what the randomness of a thought is a function of, sampling. Part of the run name.
SCHEMA_VERSION = 3


def canonical_json(value) -> str:
    """One text per value: keys sorted, no blanks, strict JSON. What hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256_of(value) -> str:
    """Hexadecimal SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def run_name(model_name: str, dataset: str, cells: list, identity: dict) -> str:
    """A readable slug and the hash of everything that decides the records."""
    budgets = sorted({cell.total_budget for cell in cells})
    ratios = sorted({cell.answer_thinking_ratio for cell in cells if cell.answer_thinking_ratio is not None})
    words = [_slug(Path(model_name).name), _slug(Path(dataset).stem), "b" + _joined(budgets)]
    if ratios:
        words.append("r" + _joined(ratios))
    return "_".join(words) + "_" + sha256_of(identity)[:12]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:40] or "unnamed"


def _joined(numbers) -> str:
    if len(numbers) > 5:
        return f"{numbers[0]:g}-to-{numbers[-1]:g}"
    return "-".join(f"{number:g}" for number in numbers)


def check_writable(save_dir: str) -> Path:
    """The folder, made if missing. Raises UserError if nothing can be written there."""
    folder = Path(save_dir).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"SAVE_DIR {save_dir}: cannot be written to ({error.strerror}); name a folder that can"
        ) from error
    return folder


def write_json(path: Path, value) -> None:
    """Strict JSON, never half a file. Raises UserError."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with written_anew(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextmanager
def written_anew(path: Path, mode: str = "b", **how) -> Iterator[IO]:
    """A new file under a temporary name, at the end flushed to disk and renamed to the path: never half a file.

    how: as `open` takes it. Raises OSError.
    """
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # of a process that died
    try:
        with open(temporary, "x" + mode, **how) as file:  # "x" fails where a link has been put
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Makes the folder if it is not there. Raises OSError, also for a link to a folder."""
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def reason(error: OSError) -> str:
    """Why a file or folder cannot be used, in words."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link, and nothing is written through one"
    return error.strerror or str(error)


def _open_own(path: Path, mode: str) -> IO:
    """A file that stays in the run folder, opened or made. Raises OSError, also for a link."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666), buffering=0)


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: cannot be written ({reason(error)}); what was computed before is kept, and the same command goes on"
        " there once this is mended"
    )


def strict_json(text: str | bytes):
    """The value. Raises ValueError for anything but strict JSON of a depth that Python can walk through."""
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


# What reading JSON of another shape raises.
OTHER_SHAPE = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)
# Fields of a cell that hold words; whatever else stands there is a number, a truth value or null.
_WORDS = ("letter", "category")


def read_summary(path: Path) -> dict:
    """A `summary.json`, with numbers where numbers belong. Raises UserError if it is missing or none."""
    try:
        summary = strict_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: not found; name the folder of a finished run") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}); start the run again to write it anew") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("cells"), list):
        raise UserError(f"{path}: is no summary of a run, it has no list of cells")
    parts = {name: summary[name] for name in ("target_error", "cells", "saturation") if name in summary}
    for place, text in _texts(parts, ""):
        raise UserError(f"{path}: {place} is {text[:40]!r}, where a number belongs; the run's own command mends it")
    return summary


def _texts(value, place: str) -> Iterator[tuple[str, str]]:
    """(place, text) of every text but those of _WORDS."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not (name in _WORDS and isinstance(inner, str)):
                yield from _texts(inner, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")


# --- One run among others ------------------------------------------------------------------------------------------

# What a setting only names: the same name may stand for other content tomorrow.
_INPUTS = {"questions": "DATASET", "model": "model_name", "tokenizer": "model_name", "chat_frame": "model_name"}
_NAMES = ("model_name", "DATASET", "DATASET_CONFIG", "DATASET_SPLIT")


def read_config(folder: Path) -> dict | None:
    """`config.json` of a run folder, None if it has none. Raises UserError if it is not one."""
    path = folder / "config.json"
    try:
        config = strict_json(path.read_bytes())
        kinds = {"settings": dict, "identity": dict, "questions": dict, "processes": list}
        if all(isinstance(config[name], kind) for name, kind in kinds.items()):
            return config
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):  # no JSON, or JSON of another shape
        pass
    raise UserError(f"{path}: it is no config.json of a run; mend it or move the folder away, nothing was changed")


def earlier_processes(folder: Path, identity: dict) -> list[dict]:
    """Entries of the processes that worked on the run before. Raises UserError if it is another run's folder."""
    config = read_config(folder)
    if config is None:
        return []
    if canonical_json(config["identity"]) != canonical_json(identity):
        parts = ", ".join(name for name in identity if _differs(name, config["identity"], identity))
        raise UserError(
            f"{folder}: its config.json is of a run with other {parts or 'parts'}; move the folder away, nothing was"
            " changed"
        )
    return config["processes"]


def check_inputs_unchanged(folder: Path, settings: dict, identity: dict) -> str | None:
    """Raises UserError if a run that stands unfinished beside the folder began with other content of the same names.

    Returns a line if only finished ones did, else None. The same names are those of data set and model; the content
    is told by its fingerprint.
    """
    remark = None
    for path in sorted(folder.parent.glob("*/config.json")):
        try:
            other = read_config(path.parent)
        except UserError:  # its own run will be told
            continue
        changed = other and _changed_inputs(other, settings, identity)
        if not changed:
            continue
        names = " and ".join(sorted({f"{_INPUTS[part]} = {settings[_INPUTS[part]]!r}" for part in changed}))
        what = f"{names}: the content ({', '.join(changed)}) is not what"
        if not (path.parent / "summary.json").exists():
            raise UserError(
                f"{what} the unfinished run {path.parent} began with; put it back to go on with that run, or move its"
                " folder away to begin anew"
            )
        remark = f"{what} the finished run {path.parent.name} had: this is a run of its own."
    return remark


def _changed_inputs(other: dict, settings: dict, identity: dict) -> list[str]:
    """Parts of the identity that changed, if nothing but inputs did and they have the same names; else none."""
    if any(other["settings"].get(name) != settings[name] for name in _NAMES):
        return []
    differing = [name for name in identity if _differs(name, other["identity"], identity)]
    return differing if _INPUTS.keys() >= set(differing) else []


def _differs(name: str, identity: dict, other: dict) -> bool:
    return canonical_json(identity.get(name)) != canonical_json(other.get(name))


# --- One writer ----------------------------------------------------------------------------------------------------


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Makes the run folder and holds it for this process. Raises UserError if it cannot, naming who holds it.

    The lock is the operating system's, so that of a process that died is gone with it.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be used as run folder ({reason(error)}); move it away") from error
    try:
        lock = _open_own(folder / "lock", "ab")
    except OSError as error:
        raise _cannot_lock(folder, error) from error
    with lock:
        _take(lock, folder)
        yield


def _take(lock, folder):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except BlockingIOError:
        raise _held_by_another(folder) from None
    except OSError as error:
        raise _cannot_lock(folder, error) from error


def _cannot_lock(folder, error):
    return UserError(f"{folder / 'lock'}: cannot be locked or written ({reason(error)})")


def check_no_writer(folder: Path) -> None:
    """Raises UserError if a process writes to the run folder, naming it. Changes nothing there."""
    try:
        with open(folder / "lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _held_by_another(folder) from None
    except OSError:  # no lock file, or a disk that knows no locks: nobody can be seen writing
        return


def _held_by_another(folder: Path) -> UserError:
    holder = " ".join((folder / "lock").read_text(encoding="utf-8", errors="replace").split())
    return UserError(f"{folder}: another run is writing there ({holder or 'just started'}); wait for it")


# --- Records -------------------------------------------------------------------------------------------------------


@dataclass
class FinishedUnits:
    """What a file of records holds. A unit is a (question_id, permutation).

    ids: its complete units. with_errors: of these, those with records that carry an error, and how many do.
    complete_bytes: up to the end of the last complete unit.
    """

    ids: set[tuple[str, int]] = field(default_factory=set)
    with_errors: Counter = field(default_factory=Counter)
    complete_bytes: int = 0

    def add(self, records: list[dict]) -> None:
        """Counts the records of one complete unit."""
        unit = (records[0]["question_id"], records[0]["permutation"])
        self.ids.add(unit)
        n_errors = sum(record.get("error") is not None for record in records)
        if n_errors:
            self.with_errors[unit] = n_errors


def read_finished_units(path: Path, units: set[tuple[str, int]], cells: list[tuple]) -> FinishedUnits:
    """Complete units of a file in which each has one line per cell, in the order of the cells.

    An append that was interrupted leaves a last line without its end, or a last unit without its last cells. Raises
    UserError for any other damage.
    """
    found, records, read_bytes, torn_line = FinishedUnits(), [], 0, None
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if torn_line is not None:
                raise _damage(path, torn_line, "is no record")
            record = _parsed_line(line)
            if record is None:
                torn_line = number
                continue
            read_bytes += len(line)
            unit = (record.get("question_id"), record.get("permutation"))
            cell = (record.get("total_budget"), record.get("answer_thinking_ratio"))
            same_unit = not records or unit == (records[0]["question_id"], records[0]["permutation"])
            if not same_unit or not _is_among(unit, units) or cell != cells[len(records)]:
                raise _damage(path, number, "does not belong to this run")
            if unit in found.ids:
                raise _damage(path, number, "is there twice")
            records.append(record)
            if len(records) == len(cells):
                found.add(records)
                found.complete_bytes, records = read_bytes, []
    return found


def _is_among(unit: tuple, units: set[tuple[str, int]]) -> bool:
    question_id, permutation = unit
    return isinstance(question_id, str) and isinstance(permutation, int) and unit in units


def _damage(path: Path, number: int, what: str) -> UserError:
    return UserError(f"{path}: line {number:,} {what}; mend the file or move it away, nothing was changed")


class Journal:
    """`records.jsonl`: one line per record, the units of a batch in one append.

    units: the run's (question_id, permutation); cells: its (total_budget, answer_thinking_ratio), in the order of a
    unit's lines. Opening it cuts off what an interrupted append left at the end; `finished` holds the rest. Raises
    UserError for any other damage: nothing behind a broken line is thrown away.
    """

    def __init__(self, path: Path, units: set[tuple[str, int]], cells: list[tuple[int, float | None]]):
        self.path, self.units, self.cells = path, units, cells
        try:
            with _open_own(path, "ab") as file:
                self.finished = read_finished_units(path, units, cells)
                file.truncate(self.finished.complete_bytes)
        except OSError as error:
            raise UserError(f"{path}: {reason(error)}") from error

    def take_over(self, path: Path) -> None:
        """Moves the units of another process's journal into this one, those that it lacks. Raises UserError for damage.

        A crash in between leaves both; the next call finds what is there already.
        """
        try:
            with open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = read_finished_units(path, self.units, self.cells)
                left = found.complete_bytes
                while left:
                    lines = [file.readline() for _ in self.cells]
                    left -= sum(map(len, lines))
                    records = [json.loads(line) for line in lines]
                    if (records[0]["question_id"], records[0]["permutation"]) not in self.finished.ids:
                        self.append([records])
            path.unlink()
        except BlockingIOError:
            raise UserError(f"{path}: a process of an earlier launch is still writing there; wait for it") from None
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error

    def append(self, units: list[list[dict]]) -> None:
        """Writes the records of complete units and flushes them to disk: all of them, or none and UserError."""
        lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for unit in units for record in unit]
        left = memoryview("".join(lines).encode("utf-8"))
        try:
            with _open_own(self.path, "ab") as file:
                before = file.tell()
                try:
                    while left:  # a disk that is nearly full takes a part
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(before)
                    raise
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        for records in units:
            self.finished.add(records)


def process_journal(folder: Path, index: int) -> Path:
    """Journal of a process that is not the main one, until the main process takes it over."""
    return folder / f"records.process-{index}.jsonl"


def process_journals(folder: Path) -> list[Path]:
    """Journals of processes that were not taken over yet."""
    return sorted(folder.glob("records.process-*.jsonl"))


@contextmanager
def only_writer_of(path: Path) -> Iterator[None]:
    """Holds a process's journal, so that no later launch takes it over while this process still writes."""
    try:
        file = _open_own(path, "ab")
    except OSError as error:
        raise UserError(f"{path}: {reason(error)}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{path}: a process of an earlier launch is still writing there; wait for it") from None
        yield


def _parsed_line(line: bytes) -> dict | None:
    """The record on a line; None if the line is torn or no record."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = strict_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_records(path: Path) -> Iterator[dict]:
    """The records of a journal, one after the other."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
