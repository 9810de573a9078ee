"""Where questions come from: the rows of a local file or of a data set on the hub."""
import ast
import csv
import io
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from basics.errors import UserError
from questions.shapes import SHAPES, DoubledNames

_LIST_FIELDS = ("choices", "options")


def _json_object(pairs: list[tuple[str, object]]) -> dict:
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else DoubledNames(pairs)


def is_local(dataset: str) -> bool:
    """Whether DATASET means a file; everything else comes from the hub."""
    is_path_like = dataset.startswith(("/", "~", "./", "../")) or dataset in (".", "..")
    return is_path_like or os.path.exists(dataset) or Path(dataset).suffix.lower() in _READERS


def local_rows(dataset: str, dataset_config: str | None) -> Iterator[tuple[str | None, object]]:
    """(id given outside of the row or None, row) for each row of a file. Raises UserError."""
    if dataset_config is not None:
        raise UserError(f"DATASET_CONFIG = {dataset_config!r}: DATASET {dataset!r} is a local file and has none")
    path = Path(os.path.expanduser(dataset))
    if not os.path.exists(path):  # unlike Path.exists, False for a name that is too long
        raise UserError(f"DATASET = {dataset!r}: there is no such file")
    read = _READERS.get(path.suffix.lower())
    if not path.is_file() or read is None:
        found = f"has the suffix {path.suffix!r}" if path.is_file() else "is a folder or a device"
        raise UserError(f"DATASET = {dataset!r}: it {found}; allowed is a hub id or a file: {', '.join(_READERS)}")
    try:
        yield from read(path, dataset)
    except OSError as error:
        fault = error.strerror or " ".join(str(error).split())[:300]
        raise UserError(f"DATASET = {dataset!r}: {fault}") from None


def _file_text(path: Path, dataset: str) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"DATASET = {dataset!r}: byte {error.start:,} is not UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"DATASET = {dataset!r}: it holds NUL bytes, so it is not text in UTF-8")
    if not text.strip():
        raise UserError(f"DATASET = {dataset!r}: it is empty")
    return text


def _json_rows(path: Path, dataset: str) -> Iterator[tuple[str | None, object]]:
    """Rows of a list of objects, of an object of objects (whose names are the ids), or of one object per line."""
    text = _file_text(path, dataset)
    if _is_one_object_per_line(text):
        yield from _json_line_rows(path, dataset)
        return
    data = _parsed_json(text, dataset, first_line=1)
    if isinstance(data, list):
        yield from ((None, row) for row in data)
    elif isinstance(data, dict) and _is_one_row(data):
        yield None, data
    elif isinstance(data, dict):
        yield from data.pairs if isinstance(data, DoubledNames) else data.items()
    else:
        raise UserError(f"DATASET = {dataset!r}: its JSON is {type(data).__name__}; allowed is a list or an object")


def _is_one_row(data: dict) -> bool:
    return any(shape.fits(data) for shape in SHAPES) or not any(isinstance(value, dict) for value in data.values())


def _is_one_object_per_line(text: str) -> bool:
    """Whether a .json file contains JSON lines, as several published sets do: its first line is a whole object."""
    first_line, _, rest = text.strip().partition("\n")
    if not rest or not first_line.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(first_line), dict)
    except (ValueError, RecursionError):  # the parser of the whole file says what is wrong
        return False


def _json_line_rows(path: Path, dataset: str) -> Iterator[tuple[None, object]]:
    # Not `splitlines`, which also splits at U+2028 and others that JSON allows inside strings.
    for number, line in enumerate(_file_text(path, dataset).split("\n"), 1):
        if line.strip():
            yield None, _parsed_json(line, dataset, number)


def _parsed_json(text: str, dataset: str, first_line: int) -> object:
    try:
        return json.loads(text, object_pairs_hook=_json_object)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise UserError(f"DATASET = {dataset!r}: broken JSON in line {line:,}: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # deep nesting, or numbers of thousands of digits
        raise UserError(f"DATASET = {dataset!r}: broken JSON: {error}") from None


def _csv_rows(path: Path, dataset: str) -> Iterator[tuple[None, dict]]:
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of 131,073 characters
    rows = csv.DictReader(io.StringIO(_file_text(path, dataset), newline=""), strict=True)
    try:
        _refuse_doubled_columns(rows.fieldnames or [], dataset)
        for row in rows:
            for field in _LIST_FIELDS:
                if isinstance(row.get(field), str):
                    row[field] = _parsed_cell(row[field])
            yield None, row
    except csv.Error as error:
        raise UserError(f"DATASET = {dataset!r}: broken CSV in line {rows.reader.line_num:,}: {error}") from None


def _refuse_doubled_columns(names: list[str], dataset: str) -> None:
    """Raises UserError if two columns have the same name: only the cells of the last would be kept."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise UserError(f"DATASET = {dataset!r}: the column {doubled[0]!r} occurs twice")


def _parsed_cell(cell: str) -> object:
    """The list or object that a cell contains as JSON or as a Python literal, else the cell itself."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):  # not JSON: pandas writes lists as Python literals
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # about "\d" and the like, which a later Python will refuse
            return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that its documentation lists
        return cell


def _parquet_rows(path: Path, dataset: str) -> Iterator[tuple[None, dict]]:
    import pyarrow  # here and below: a slow import that most sources do not need
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _refuse_doubled_columns(file.schema_arrow.names, dataset)
            for batch in file.iter_batches():
                yield from ((None, row) for row in batch.to_pylist())
    except (pyarrow.ArrowException, UnicodeDecodeError, OverflowError, ValueError) as error:  # Python has no such date
        raise UserError(f"DATASET = {dataset!r}: broken parquet: {' '.join(str(error).split())[:300]}") from None


_READERS = {
    ".json": _json_rows,
    ".jsonl": _json_line_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
    ".txt": _json_rows,
}


def hub_rows(dataset: str, dataset_config: str | None, dataset_split: str) -> Iterator[tuple[None, dict]]:
    """(None, row) of each row of a split on the hub or in the local cache. Raises UserError."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset, re.ASCII):
        raise UserError(f"DATASET = {dataset!r}: neither a file nor a hub id (owner/name)")
    import datasets

    from basics.hub_faults import HUB_ERRORS

    try:
        table = datasets.load_dataset(dataset, dataset_config, split=dataset_split)
        for batch in table.iter(batch_size=1000):
            yield from ((None, dict(zip(batch, cells, strict=True))) for cells in zip(*batch.values(), strict=True))
    except (datasets.exceptions.DatasetsError, *HUB_ERRORS, RuntimeError) as error:
        asked = f"DATASET = {dataset!r} (DATASET_CONFIG = {dataset_config or ''!r}, DATASET_SPLIT = {dataset_split!r})"
        raise UserError(f"{asked}: {_data_set_fault(error, dataset)}") from error


def _data_set_fault(error: BaseException, dataset: str) -> str:
    """Why a data set could not be loaded, in one line that says what to do."""
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

    from basics.hub_faults import hub_fault

    if isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
        error = error.__cause__  # its own message says only that something failed
    page, message = f"https://huggingface.co/datasets/{dataset}", " ".join(str(error).split())
    # `datasets` keeps only the text of the hub's answer to these, so this reads the text.
    if isinstance(error, DatasetNotFoundError) and "gated" in message:
        return f"access is gated; accept the terms at {page} and log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, DatasetNotFoundError):
        return "the hub has no such data set; check the spelling, or if it is private log in with `hf auth login`"
    if isinstance(error, ValueError):  # lists the configurations or splits, then shows code
        return message.partition(" Example of usage")[0]
    return hub_fault(error, page)
