"""The tables of fields in docs/results.md, made from the declarations.

    python -m scoring.field_tables         # writes them anew between the marks of docs/results.md
"""
from collections.abc import Iterable
from pathlib import Path

from scoring.fields import Field
from scoring.record_schema import RECORD_FIELDS, STAGE_FIELDS, STAGES
from scoring.summary_schema import CELL_FIELDS, CONFIDENCE_FIELDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"


def record_table() -> str:
    """The fields of a record; a field that both stages have is one row."""
    first, *others = STAGES
    rows = []
    for one in RECORD_FIELDS:
        names, filled_by = [one.name], one.filled_by
        if one.name in {f"{stage}_{twin.name}" for stage in others for twin in STAGE_FIELDS}:
            continue
        if one.name in {f"{first}_{twin.name}" for twin in STAGE_FIELDS}:
            names += [one.name.replace(first, stage, 1) for stage in others]
            filled_by = "each stage"
        rows.append((_quoted(names), _type(one), filled_by, one.meaning))
    return _table(("field", "type", "filled by", "meaning"), rows)


def cell_table() -> str:
    """The fields of a cell in the summary."""
    return _summary_table(CELL_FIELDS)


def confidence_table() -> str:
    """The fields of each confidence of a cell."""
    return _summary_table(CONFIDENCE_FIELDS)


def _summary_table(fields: tuple[Field, ...]) -> str:
    """A metric and its interval are one row."""
    names = {one.name for one in fields}
    rows = []
    for one in fields:
        if one.name.removesuffix("_interval") in names - {one.name}:
            continue
        shared = [one.name, *({f"{one.name}_interval"} & names)]
        rows.append((_quoted(shared), _type(one), one.better, one.meaning + _parts(one)))
    return _table(("field", "type", "better", "meaning"), rows)


def _type(one: Field) -> str:
    """Type, unit, range and whether null is allowed."""
    words = [one.type_words, one.unit, one.span_words]
    words += [", ".join(f"`{choice}`" for choice in one.choices), "or `null`" if one.is_nullable else ""]
    return ", ".join(filter(None, words))


def _parts(one: Field) -> str:
    """The names inside an object, by group where it has groups of equal fields."""
    if not one.parts or one.parts[0].parts == CONFIDENCE_FIELDS:
        return ""
    inner = one.parts[0].parts
    if not inner:
        return f"; {_quoted(part.name for part in one.parts)}"
    deeper = f", each {_quoted(part.name for part in inner[0].parts)}" if inner[0].parts else ""
    return f"; per {_quoted(part.name for part in one.parts)}: {_quoted(part.name for part in inner)}{deeper}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = {"record fields": record_table, "cell fields": cell_table, "confidence fields": confidence_table}


def rendered(page: str) -> str:
    """The page with each table anew between its marks. Raises ValueError if a mark is missing or stands twice."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if (page.count(begin), page.count(end)) != (1, 1) or page.index(begin) > page.index(end):
            raise ValueError(f"{PAGE.name} must hold {begin} and behind it {end}, once each")
        before, after = page[: page.index(begin) + len(begin)], page[page.index(end) :]
        page = f"{before}\n{table()}\n{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
