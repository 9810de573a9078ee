"""Where questions come from: the rows of a local file or of a data set on the hub."""
import codecs
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from basics.errors import UserError
from questions.containers import chosen_split, rows_of_object
from questions.rows import DoubledNames
from questions.tables import refuse_doubled_columns, table_rows


def _json_object(pairs: list[tuple[str, object]]) -> dict:
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else DoubledNames(pairs)


def is_local(dataset: str) -> bool:
    """Whether DATASET means a file or folder; everything else comes from the hub."""
    is_path_like = dataset.startswith(("/", "~", "./", "../")) or dataset in (".", "..")
    return is_path_like or os.path.exists(dataset) or _suffix(dataset) in _READERS


def _suffix(name: str) -> str:
    """The last suffix but `.gz`, in lower case."""
    path = Path(name.lower())
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix


def local_rows(dataset: str, dataset_config: str | None, split: str) -> Iterator[tuple[str | None, object]]:
    """(id given outside of the row or None, row) for each row of a file or a saved data set. Raises UserError.

    split: which one, if there are several.
    """
    if dataset_config is not None:
        raise UserError(f"DATASET_CONFIG = {dataset_config!r}: DATASET {dataset!r} is a local file and has none")
    path = Path(os.path.expanduser(dataset))
    if not os.path.exists(path):  # unlike Path.exists, False for a name that is too long
        raise UserError(f"DATASET = {dataset!r}: there is no such file")
    is_saved = any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json"))
    read = _saved_rows if is_saved else _READERS.get(_suffix(path.name))
    if not is_saved and (not path.is_file() or read is None):
        found = f"has the suffix {path.suffix!r}" if path.is_file() else "is a folder or a device"
        allowed = f"a hub id, a folder that `save_to_disk` wrote, or a file: {', '.join(_READERS)}"
        raise UserError(f"DATASET = {dataset!r}: it {found}; allowed is {allowed}, those of text also with .gz")
    try:
        yield from read(path, dataset, split)
    except OSError as error:
        fault = error.strerror or " ".join(str(error).split())[:300]
        raise UserError(f"DATASET = {dataset!r}: {fault}") from None


def _file_text(path: Path, dataset: str) -> str:
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            content = gzip.decompress(content)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f"DATASET = {dataset!r}: broken gzip: {error}") from None
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig").upper()
        raise UserError(f"DATASET = {dataset!r}: byte {error.start:,} is not {name}; save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"DATASET = {dataset!r}: it holds NUL bytes, so it is not text in UTF-8")
    if not text.strip():
        raise UserError(f"DATASET = {dataset!r}: it is empty")
    return text


def _json_rows(path: Path, dataset: str, split: str) -> Iterator[tuple[str | None, object]]:
    """Rows of a list, of an object (questions/containers.py), or of one object per line."""
    text = _file_text(path, dataset)
    if _is_one_object_per_line(text):
        yield from _json_line_rows(path, dataset, split)
        return
    data = _parsed_json(text, dataset, first_line=1)
    if isinstance(data, list):
        yield from ((None, row) for row in data)
    elif isinstance(data, dict):
        yield from rows_of_object(data, dataset, split)
    else:
        raise UserError(f"DATASET = {dataset!r}: its JSON is {type(data).__name__}; allowed is a list or an object")


def _is_one_object_per_line(text: str) -> bool:
    """Whether a .json file contains JSON lines, as several published sets do: its first line is whole."""
    first_line, _, rest = text.strip().partition("\n")
    if not rest or not first_line.rstrip().endswith(("}", "]")):
        return False
    try:
        return isinstance(json.loads(first_line), (dict, list))
    except (ValueError, RecursionError):  # the parser of the whole file says what is wrong
        return False


def _json_line_rows(path: Path, dataset: str, split: str) -> Iterator[tuple[None, object]]:
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


def _csv_rows(path: Path, dataset: str, split: str) -> Iterator[tuple[None, dict]]:
    return table_rows(_file_text(path, dataset), dataset, ",;\t|")


def _tsv_rows(path: Path, dataset: str, split: str) -> Iterator[tuple[None, dict]]:
    return table_rows(_file_text(path, dataset), dataset, "\t")


def _saved_rows(path: Path, dataset: str, split: str) -> Iterator[tuple[None, dict]]:
    """Rows of a folder that `save_to_disk` of the library datasets wrote."""
    import datasets

    try:
        table = datasets.load_from_disk(str(path))
        if isinstance(table, datasets.DatasetDict):
            table = table[chosen_split(list(table), dataset, split)]
        yield from ((None, row) for row in table)
    except (datasets.exceptions.DatasetsError, ValueError, KeyError, TypeError, RuntimeError) as error:
        fault = " ".join(str(error).split())[:300]
        raise UserError(f"DATASET = {dataset!r}: not a data set that `save_to_disk` wrote: {fault}") from None


def _parquet_rows(path: Path, dataset: str, split: str) -> Iterator[tuple[None, dict]]:
    import pyarrow  # here and below: a slow import that most sources do not need
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            refuse_doubled_columns(file.schema_arrow.names, dataset)
            for batch in file.iter_batches():
                yield from ((None, row) for row in batch.to_pylist())
    except (pyarrow.ArrowException, UnicodeDecodeError, OverflowError, ValueError) as error:  # Python has no such date
        raise UserError(f"DATASET = {dataset!r}: broken parquet: {' '.join(str(error).split())[:300]}") from None


_READERS = {
    ".json": _json_rows,
    ".jsonl": _json_line_rows,
    ".csv": _csv_rows,
    ".tsv": _tsv_rows,
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
