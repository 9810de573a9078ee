"""The journal `records.jsonl`: one line per record, complete units alone, each batch on disk before the next."""
import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from basics.errors import UserError
from basics.files import cannot_write, open_own, reason
from basics.strict_json import strict_json
from scoring.record_schema import UNIT_NAMES

UnitKey = tuple[str, int, int]  # UNIT_NAMES


@dataclass
class FinishedUnits:
    """What a file of records holds. A unit is a (question_id, permutation, thought).

    ids: its complete units. with_errors: of these, those with records that carry an error, and how many do.
    complete_bytes: up to the end of the last complete unit.
    """

    ids: set[UnitKey] = field(default_factory=set)
    with_errors: Counter = field(default_factory=Counter)
    complete_bytes: int = 0

    def add(self, records: list[dict]) -> None:
        """Counts the records of one complete unit."""
        unit = _unit_key(records[0])
        self.ids.add(unit)
        n_errors = sum(record.get("error") is not None for record in records)
        if n_errors:
            self.with_errors[unit] = n_errors


def read_finished_units(path: Path, units: set[UnitKey], cells: list[tuple]) -> FinishedUnits:
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
            unit = _unit_key(record)
            cell = (record.get("total_budget"), record.get("answer_thinking_ratio"))
            same_unit = not records or unit == _unit_key(records[0])
            if not same_unit or not _is_among(unit, units) or cell != cells[len(records)]:
                raise _damage(path, number, "does not belong to this run")
            if unit in found.ids:
                raise _damage(path, number, "is there twice")
            records.append(record)
            if len(records) == len(cells):
                found.add(records)
                found.complete_bytes, records = read_bytes, []
    return found


def _unit_key(record: dict) -> tuple:
    return tuple(record.get(name) for name in UNIT_NAMES)


def _is_among(unit: tuple, units: set[UnitKey]) -> bool:
    question_id, *numbers = unit
    return isinstance(question_id, str) and all(isinstance(number, int) for number in numbers) and unit in units


def _damage(path: Path, number: int, what: str) -> UserError:
    return UserError(f"{path}: line {number:,} {what}; mend the file or move it away, nothing was changed")


class Journal:
    """`records.jsonl`: one line per record, the units of a batch in one append.

    units: the run's (question_id, permutation, thought); cells: its (total_budget, answer_thinking_ratio), in the order
    of a unit's lines. Opening it cuts off what an interrupted append left at the end; `finished` holds the rest. Raises
    UserError for any other damage: nothing behind a broken line is thrown away.
    """

    def __init__(self, path: Path, units: set[UnitKey], cells: list[tuple[int, float | None]]):
        self.path, self.units, self.cells = path, units, cells
        try:
            with open_own(path, "ab") as file:
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
                    if _unit_key(records[0]) not in self.finished.ids:
                        self.append([records])
            path.unlink()
        except BlockingIOError:
            raise UserError(f"{path}: a process of an earlier launch is still writing there; wait for it") from None
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error

    def take_over_processes(self) -> None:
        """Takes over the journals of all other processes of the run that lie beside this one."""
        for path in process_journals(self.path.parent):
            self.take_over(path)

    def append(self, units: list[list[dict]]) -> None:
        """Writes the records of complete units and flushes them to disk: all of them, or none and UserError."""
        lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for unit in units for record in unit]
        left = memoryview("".join(lines).encode("utf-8"))
        try:
            with open_own(self.path, "ab") as file:
                before = file.tell()
                try:
                    while left:  # a disk that is nearly full takes a part
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(before)
                    raise
        except OSError as error:
            raise cannot_write(self.path, error) from error
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
        file = open_own(path, "ab")
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
