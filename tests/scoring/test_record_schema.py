"""What is declared once holds everywhere: records, summaries, tables."""
import json

import pytest
from readings_and_records import make_test_record
from synthetic_run import make_records, make_summary

from evaluation_tool import summarise
from scoring import field_tables
from scoring.fields import Field, faults, in_order, text_names
from scoring.record_schema import RECORD_FIELDS, STAGES
from scoring.summary_schema import CELL_FIELDS, CONFIDENCE_FIELDS

SHARE = Field("share", "number", span=(0, 1))
NULLABLE = Field("count", "whole number", span=(0, None), is_nullable=True)
STOPPED = Field("stopped", "text", choices=("natural", "capped"))
LIST = Field("ids", "whole number", is_list=True)
OBJECTS = Field("rows", "object", parts=(SHARE, NULLABLE), is_list=True)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        (SHARE, 0, None),
        (SHARE, 1.0, None),
        (SHARE, 1.2, "share 1.2 is not between 0 and 1"),
        (SHARE, float("inf"), "share inf is not between 0 and 1"),
        (SHARE, None, "share is null"),
        (SHARE, True, "share holds True, where a number belongs"),
        (SHARE, "0.5", "share holds '0.5', where a number belongs"),
        (NULLABLE, None, None),
        (NULLABLE, 3.0, "count holds 3.0, where a whole number belongs"),
        (NULLABLE, -1, "count -1 is not 0 or more"),
        (STOPPED, "capped", None),
        (STOPPED, "cut", "stopped is 'cut', allowed is natural, capped"),
        (LIST, [], None),
        (LIST, [1, None], "ids holds None, where a whole number belongs"),
        (LIST, 7, "ids is 7, where a list of whole numbers belongs"),
        (LIST, list(range(100)), None),
        (LIST, "x" * 100, f"ids is '{'x' * 39}..., where a list of whole numbers belongs"),
        (OBJECTS, [{"share": 0.5, "count": None}], None),
        (OBJECTS, [{"share": 0.5}], "rows: it lacks 'count'"),
        (OBJECTS, [{"share": 2, "count": 1}], "rows: share 2 is not between 0 and 1"),
    ],
)
def test_a_value_that_a_field_cannot_hold_is_said_in_words(field, value, fault):
    assert field.fault(value) == fault


def test_names_that_are_not_the_declared_ones_are_a_fault_of_the_program():
    assert list(in_order((SHARE, LIST), {"ids": [], "share": 1})) == ["share", "ids"]
    for values in ({"share": 1}, {"share": 1, "ids": [], "other": 0}):
        with pytest.raises(RuntimeError, match=r"declared and filled fields differ: (ids|other)"):
            in_order((SHARE, LIST), values)


def test_texts_are_found_inside_objects_too():
    assert text_names(CELL_FIELDS) == {"letter", "category"}


def test_no_field_is_declared_twice():
    for fields in (RECORD_FIELDS, CELL_FIELDS, CONFIDENCE_FIELDS):
        names = [one.name for one in fields]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", ["right and wrong", "errors", "one"])
def test_the_summary_of_records_holds_what_is_declared_and_nothing_else(kind):
    records = {
        "right and wrong": make_records(20, 2),
        "errors": [make_test_record(name, None, None, predicted_option=None) for name in "abc"],
        "one": [make_test_record("a", 0.9, True, category=None)],
    }[kind]
    cells = json.loads(json.dumps(summarise(records, 0.05, 1)["cells"]))
    assert cells
    for cell in cells:
        assert list(faults(CELL_FIELDS, cell)) == []
        assert_same_names(CELL_FIELDS, cell)


def assert_same_names(fields, values):
    assert list(values) == [one.name for one in fields]
    for one in fields:
        for inner in values[one.name] if one.is_list else [values[one.name]]:
            if one.parts and inner is not None:
                assert_same_names(one.parts, inner)


def test_the_made_up_records_and_summaries_of_the_tests_hold_what_is_declared():
    records = json.loads(json.dumps([*make_records(3, 2), make_test_record("a", 0.9, False)]))
    assert [list(faults(RECORD_FIELDS, record)) for record in records] == [[]] * len(records)
    for has_values in (True, False):
        for cell in make_summary(records[:-1], has_values)["cells"]:
            assert list(faults(CELL_FIELDS, cell)) == []


def test_every_field_is_in_its_table_once():
    for fields, table in ((RECORD_FIELDS, field_tables.record_table()), (CELL_FIELDS, field_tables.cell_table()),
                          (CONFIDENCE_FIELDS, field_tables.confidence_table())):  # fmt: skip
        named = [row.split(" | ")[0] for row in table.splitlines()[2:]]
        for one in fields:
            assert sum(f"`{one.name}`" in row for row in named) == 1
            assert one.meaning
    assert {one.filled_by for one in RECORD_FIELDS} == {
        "unit", "cell", "scoring", "both stages", *(f"{stage} stage" for stage in STAGES),
    }  # fmt: skip


def test_tables_take_the_place_of_what_is_between_the_marks():
    marks = [f"<!-- {name}: {side} -->" for name in field_tables.TABLES for side in ("begin", "end")]
    page = field_tables.rendered("before\n" + "\nold\n".join(marks) + "\nafter\n")
    assert page == field_tables.rendered(page)
    assert page.startswith("before\n") and page.endswith("\nafter\n")
    for table in field_tables.TABLES.values():
        assert table() in page
    with pytest.raises(ValueError, match="record fields: begin"):
        field_tables.rendered("no marks")


@pytest.mark.skipif(not field_tables.PAGE.exists(), reason="docs/results.md does not exist yet")
def test_the_page_has_the_tables_of_the_declarations():
    page = field_tables.PAGE.read_text(encoding="utf-8")
    assert page == field_tables.rendered(page), "python -m scoring.field_tables makes them again"
