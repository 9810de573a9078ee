"""A run on disk: its name, `config.json`, the journal `records.jsonl`, `summary.json`."""
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from errors import UserError

SCHEMA_VERSION = 1  # of records.jsonl and summary.json; part of the run name


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


class Journal:
    """`records.jsonl`: one line per record, the records of a unit (question, permutation) in one append.

    Opening it cuts off what an interrupted run left behind its last complete unit, and collects in `finished` the
    (question_id, permutation) of the complete ones.
    """

    def __init__(self, path: Path, n_cells: int):
        self.path = path
        self.finished: set[tuple[str, int]] = set()
        path.touch()
        complete_bytes = read_bytes = lines_of_unit = 0
        with open(path, "rb") as file:
            for line in file:
                record = _parsed_line(line)
                if record is None:
                    break
                read_bytes += len(line)
                lines_of_unit += 1
                if lines_of_unit == n_cells:
                    complete_bytes, lines_of_unit = read_bytes, 0
                    self.finished.add((record["question_id"], record["permutation"]))
        os.truncate(path, complete_bytes)

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
        return json.loads(line)
    except ValueError:
        return None


def read_records(path: Path) -> Iterator[dict]:
    """The records of a journal, one after the other."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
