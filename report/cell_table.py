"""`cells.csv`: the cells of a summary as a table, one row per cell, for spreadsheets, pandas and R."""
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from basics.files import cannot_write, written_anew
from runs.results_folder import read_summary
from scoring.fields import Field
from scoring.summary_schema import CELL_FIELDS


def write_cell_table(run: Path) -> Path:
    """Writes cells.csv of a finished run from its summary.json; returns its path. Raises UserError.

    Every single value of a cell is a column; lists (bins, categories, curves) stay in summary.json. A value that cannot
    be had is an empty cell.
    """
    cells = read_summary(run / "summary.json")["cells"]
    columns = dict(cell_columns())
    path = run / "cells.csv"
    try:
        with written_anew(path, "t", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([_value(cell, place) for place in columns.values()] for cell in cells)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def cell_columns(fields: Iterable[Field] = CELL_FIELDS, place: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple]]:
    """(name of the column, names of the fields from the cell down to the value) of every single value of a cell.

    The name joins those of the fields with `_`: `accuracy_interval_low`, `p_true_aurc`; `confidences` is left out.
    """
    for one in fields:
        inner = (*place, one.name)
        if one.is_list:
            continue
        if one.parts:
            yield from cell_columns(one.parts, inner)
        else:
            yield "_".join(name for name in inner if name != "confidences"), inner


def _value(cell: dict, place: tuple[str, ...]) -> object:
    """The value at a place; None if it, or an object around it, has none."""
    value = cell
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value
