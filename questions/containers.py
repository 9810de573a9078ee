"""What a JSON file can be besides a list of rows: one row, rows by name, splits, or a table as pandas writes it."""
from collections.abc import Callable, Iterable

from basics.errors import UserError
from questions.row_forms import as_object
from questions.rows import DoubledNames
from questions.shapes import fits_a_shape

_Rows = Iterable[tuple[str | None, object]]


def rows_of_object(data: dict, dataset: str, split: str) -> _Rows:
    """(id outside of the row or None, row) for each row of a JSON object. split: which one, if it has several.

    Raises UserError if it has several and none is called so.
    """
    if not isinstance(data, DoubledNames):
        for form in _FORMS:
            rows = form(data)
            if rows is not None:
                return rows
        splits = _lists_of_rows(data)
        if splits:
            return [(None, row) for row in splits[chosen_split(list(splits), dataset, split)]]
    return data.pairs if isinstance(data, DoubledNames) else data.items()


def chosen_split(names: list[str], dataset: str, split: str) -> str:
    """The split that is called so, or the only one. Raises UserError."""
    if len(names) == 1 or split in names:
        return split if split in names else names[0]
    raise UserError(f"DATASET = {dataset!r}: it has no split {split!r} (DATASET_SPLIT); it has {', '.join(names)}")


def _pandas_split(data: dict) -> _Rows | None:
    """`{"columns": [...], "index": [...], "data": [[...], ...]}`: orient="split"."""
    columns, lines = data.get("columns"), data.get("data")
    if not isinstance(columns, list) or not isinstance(lines, list):
        return None
    if not all(isinstance(line, list) and len(line) == len(columns) for line in lines):
        return None
    return [(None, dict(zip(columns, line, strict=True))) for line in lines]


def _pandas_columns(data: dict) -> _Rows | None:
    """`{"question": {"0": ...}, "answer": {"0": ...}}`: the default of DataFrame.to_json."""
    columns = list(data.values())
    if not all(isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns):
        return None
    if not fits_a_shape(data) or not columns or fits_a_shape(columns[0]):
        return None
    return [(None, {name: column[place] for name, column in data.items()}) for place in columns[0]]


def _one_row(data: dict) -> _Rows | None:
    is_flat = not any(isinstance(value, dict) for value in data.values()) and not _lists_of_rows(data)
    return [(None, data)] if _fits(data) or is_flat else None


_FORMS: tuple[Callable[[dict], _Rows | None], ...] = (_pandas_split, _pandas_columns, _one_row)


def _lists_of_rows(data: dict) -> dict[str, list]:
    """By name, the lists of rows: `{"data": [...]}`, `{"train": [...], "test": [...]}`; if none fits, of objects."""
    lists = {name: value for name, value in data.items() if isinstance(value, list) and value}
    fitting = {name: rows for name, rows in lists.items() if any(map(_fits, rows))}
    of_objects = {name: rows for name, rows in lists.items() if all(isinstance(row, dict) for row in rows)}
    return {name: list(map(_unwrapped, rows)) for name, rows in (fitting or of_objects).items()}


def _fits(row: object) -> bool:
    row = as_object(_unwrapped(row))
    return isinstance(row, dict) and fits_a_shape(row)


def _unwrapped(row: object) -> object:
    """The row inside `{"row_idx": 0, "row": {...}}`, as the hub's viewer gives it."""
    return row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row
