"""`cells.csv` holds what `summary.json` holds, under flat names."""
import csv
import json

import pandas
import pytest
from synthetic_run import make_records, write_run_folder

from basics.errors import UserError
from report.cell_table import cell_columns, write_cell_table


@pytest.fixture
def run(tmp_path):
    return write_run_folder(tmp_path / "run", make_records(5))


def values_within(value, place=()):
    """(place, value) of every single value; lists are left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from values_within(inner, (*place, name))
    elif not isinstance(value, list):
        yield place, value


def test_every_single_value_of_every_cell_is_there_once(run):
    path = write_cell_table(run)
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = json.loads((run / "summary.json").read_text())["cells"]
    assert len(rows) == len(cells) > 1
    names = {place: name for name, place in cell_columns()}
    assert len(set(names.values())) == len(names) == len(rows[0])
    for row, cell in zip(rows, cells, strict=True):
        for place, value in values_within(cell):
            if place in names:
                assert row[names[place]] == ("" if value is None else str(value))
            else:  # an object that has no value, such as an interval: its parts are empty cells
                assert value is None
                parts = [name for inner, name in names.items() if inner[: len(place)] == place]
                assert parts
                assert {row[name] for name in parts} == {""}


def test_names_are_flat_and_pandas_reads_them(run):
    table = pandas.read_csv(write_cell_table(run))
    cells = json.loads((run / "summary.json").read_text())["cells"]
    assert {"total_budget", "accuracy_interval_low", "confidence_aurc", "p_true_ece"} <= set(table.columns)
    assert all(name.isidentifier() for name in table.columns)
    assert table["confidence_aurc"].to_list() == pytest.approx(
        [cell["confidences"]["confidence"]["aurc"] for cell in cells]
    )


def test_a_run_without_a_summary_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"summary\.json: not found"):
        write_cell_table(tmp_path)
