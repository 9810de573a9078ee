"""A run on disk: its name, `config.json`, the journal `records.jsonl`, `summary.json`."""
import fcntl
import hashlib
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import UserError

SCHEMA_VERSION = 2  # of records.jsonl and summary.json; part of the run name


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
    """Strict JSON under a temporary name, flushed to disk, then renamed: never half a file."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def processes_so_far(config_path: Path) -> list[dict]:
    """Entries of the processes that worked on the run before; none if `config.json` is missing or not its own."""
    try:
        return json.loads(config_path.read_text(encoding="utf-8"))["processes"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Makes the run folder and holds it for this process. Raises UserError if it cannot, naming who holds it.

    The lock is the operating system's, so that of a process that died is gone with it.
    """
    try:
        folder.mkdir(exist_ok=True)
        lock = open(folder / "lock", "a+", encoding="utf-8")  # noqa: SIM115 - held open as long as the lock
    except OSError as error:
        raise UserError(f"{folder}: cannot be used as run folder ({error.strerror}); move it away") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise UserError(f"{folder}: another run is writing there ({lock.read().strip()}); wait for it") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        yield


class Journal:
    """`records.jsonl`: one line per record, the records of a unit (question, permutation) in one append.

    units: the run's (question_id, permutation); cells: its (total_budget, answer_thinking_ratio), in the order of a
    unit's lines. Opening it cuts off what an interrupted append left at the end, and collects the complete units in
    `finished`. Raises UserError for any other damage: nothing behind a broken line is thrown away.
    """

    def __init__(self, path: Path, units: set[tuple[str, int]], cells: list[tuple[int, float | None]]):
        self.path = path
        self.finished: set[tuple[str, int]] = set()
        try:
            path.touch()
            complete_bytes = self._read_complete_units(units, cells)
            os.truncate(path, complete_bytes)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error

    def _read_complete_units(self, units, cells) -> int:
        """Bytes up to the end of the last complete unit."""
        complete_bytes = read_bytes = 0
        unit, lines_of_unit, torn_line = None, 0, None
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                if torn_line is not None:
                    raise self._damage(torn_line, "is no record")
                record = _parsed_line(line)
                if record is None:
                    torn_line = number
                    continue
                read_bytes += len(line)
                found = (record.get("question_id"), record.get("permutation"))
                unit = found if lines_of_unit == 0 else unit
                cell = (record.get("total_budget"), record.get("answer_thinking_ratio"))
                if found != unit or found not in units or cell != cells[lines_of_unit]:
                    raise self._damage(number, "does not belong to this run")
                if found in self.finished:
                    raise self._damage(number, "is there twice")
                lines_of_unit += 1
                if lines_of_unit == len(cells):
                    self.finished.add(found)
                    complete_bytes, lines_of_unit = read_bytes, 0
        return complete_bytes

    def _damage(self, number: int, what: str) -> UserError:
        return UserError(f"{self.path}: line {number:,} {what}; mend the file or move it away, nothing was changed")

    def append(self, units: list[list[dict]]) -> None:
        """Writes the records of complete units and flushes them to disk."""
        with open(self.path, "ab") as file:
            for records in units:
                lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records]
                file.write("".join(lines).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        self.finished.update((records[0]["question_id"], records[0]["permutation"]) for records in units)


def _parsed_line(line: bytes) -> dict | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_records(path: Path) -> Iterator[dict]:
    """The records of a journal, one after the other."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
