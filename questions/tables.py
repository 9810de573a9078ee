"""Rows of a table with a header: its delimiter, its names, and lists that stand in one cell."""
import ast
import csv
import io
import json
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator

from basics.errors import UserError
from questions.fields import LIST_NAMES, is_blank, plain_name
from questions.row_forms import named_cells
from questions.shapes import fits_a_shape

_LIST_NAMES = {plain_name(name) for name in (*LIST_NAMES, "mc1_targets")}


def table_rows(text: str, dataset: str, delimiters: str) -> Iterator[tuple[None, dict]]:
    """(None, row) for each row of a table. delimiters: the first with which its header fits a shape is taken.

    A table without a header is read if its rows have MMLU's order: question, options, letter or number of the key.
    """
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of 131,073 characters
    delimiter = _delimiter(text, delimiters)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        first = next(reader, [])
        without_header = named_cells(first)
        names = list(without_header) if without_header else [name.strip() for name in first]
        refuse_doubled_columns([name for name in names if name], dataset)
        if without_header:
            yield None, without_header
        for cells in reader:
            if cells:
                yield None, _row(names, cells)
    except csv.Error as error:
        raise UserError(f"DATASET = {dataset!r}: broken CSV in line {reader.line_num:,}: {error}") from None


def _delimiter(text: str, delimiters: str) -> str:
    firsts = {}
    for delimiter in delimiters:
        try:
            firsts[delimiter] = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error:
            continue
    fitting = [one for one, cells in firsts.items() if fits_a_shape(cells) or named_cells(cells)]
    return fitting[0] if fitting else max(firsts, key=lambda one: len(firsts[one]), default=delimiters[0])


def _row(names: list[str], cells: list[str]) -> dict:
    """The cells by name; None for those that are missing. A column without a name is the index that pandas writes."""
    row = {name: cells[place] if place < len(cells) else None for place, name in enumerate(names) if name}
    further = [cell for cell in cells[len(names) :] if not is_blank(cell)]
    for name, cell in row.items():
        if isinstance(cell, str) and plain_name(name) in _LIST_NAMES:
            row[name] = parsed_cell(cell)
    return row | {None: further} if further else row


def refuse_doubled_columns(names: list[str], dataset: str) -> None:
    """Raises UserError if two columns have the same name: only the cells of the last would be kept."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise UserError(f"DATASET = {dataset!r}: the column {doubled[0]!r} occurs twice")


def parsed_cell(cell: str) -> object:
    """The list or object that a cell contains, as JSON, Python literal or NumPy's print; else the cell itself."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):  # not JSON: pandas writes lists as Python literals
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # about "\d" and the like, which a later Python will refuse
            return _literal(ast.parse(cell.strip(), mode="eval").body, cell.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # what `ast.literal_eval` may raise
        return cell


def _literal(node: ast.expr, source: str) -> object:
    """The value of a literal in which arrays are lists: `array(['cat'], dtype=object)`, `['cat' 'dog']`."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [value for one in node.elts for value in _values(one, source)]
    if isinstance(node, ast.Dict):
        names = [ast.literal_eval(name) for name in node.keys]
        return dict(zip(names, (_literal(value, source) for value in node.values), strict=True))
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "array" and node.args:
        return _literal(node.args[0], source)
    return ast.literal_eval(node)


def _values(node: ast.expr, source: str) -> list:
    """The values of one element of a list: several if texts stand side by side, which Python would join."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return [_literal(node, source)]
    written = f"({ast.get_source_segment(source, node)})"
    tokens = tokenize.generate_tokens(io.StringIO(written).readline)
    return [ast.literal_eval(token.string) for token in tokens if token.type == tokenize.STRING]
