"""Records that other runs of a SAVE_DIR hold already: a run that grew takes them over and computes only what is new.

More questions, permutations, thoughts, budgets or ratios make another run, in a folder of its own. A record depends on
its own unit and cell alone, so those of a run that is the same in all else are this run's records too: in float32
the very same, in shorter formats those that were measured.
"""
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from basics.errors import UserError
from basics.strict_json import canonical_json, strict_json
from questions.option_orders import Unit
from runs.budgets import Cell
from runs.journal import UnitKey
from runs.results_folder import read_config
from scoring.record_schema import UNIT_NAMES

# Parts of the identity that may differ.
MAY_GROW = ("cells", "questions", "n_questions", "n_permutations", "n_thoughts")
_UNITS_AT_ONCE = 256  # written at a time: bounds memory

_OFFSET_BITS = 48  # of a place: the byte at which a line begins; above them the number of the journal
_NOWHERE = -1


@dataclass
class EarlierRecords:
    """Where the records of this run's units lie that other runs hold. Without any it is empty.

    cells: of this run. journals: of the other runs. places: by unit, per cell the number of a journal and the byte at
    which the record begins there, as one number (there can be a million); _NOWHERE for none. n_records: by name of the
    run, how many it holds.
    """

    cells: list[Cell]
    journals: list[Path] = field(default_factory=list)
    places: dict[UnitKey, array] = field(default_factory=dict)
    n_records: Counter = field(default_factory=Counter)

    def sources(self, folder: Path) -> list[str]:
        """Names of the runs that this one takes records from, and has taken before, for `config.json`."""
        before = read_config(folder) or {}
        return sorted({*before.get("taken_over_from", []), *self.n_records})

    def remark(self) -> str | None:
        """A line on what need not be computed; None for nothing."""
        if not self.n_records:
            return None
        whole = sum(_NOWHERE not in known for known in self.places.values())
        return (
            f"{self.n_records.total():,} records of this run are in {', '.join(sorted(self.n_records))} already and are"
            f" taken over: {whole:,} units whole, {len(self.places) - whole:,} in part"
        )

    def cells_left(self, unit: Unit) -> list[Cell]:
        """The cells that have to be computed."""
        return [cell for cell, place in zip(self.cells, self._places_of(unit), strict=True) if place == _NOWHERE]

    def completed(self, unit: Unit, computed: list[dict]) -> list[dict]:
        """All records of the unit in the order of the cells. computed: those of `cells_left`, in order."""
        new = iter(computed)
        return [next(new) if place == _NOWHERE else self._read(place) for place in self._places_of(unit)]

    def whole_units(self, units: list[Unit]) -> Iterator[list[list[dict]]]:
        """Records of the units that need no computing, some units at a time."""
        whole = [unit for unit in units if not self.cells_left(unit)]
        for start in range(0, len(whole), _UNITS_AT_ONCE):
            yield [self.completed(unit, []) for unit in whole[start : start + _UNITS_AT_ONCE]]

    def take(self, unit: Unit, cell_number: int, journal: Path, offset: int) -> None:
        """Notes where the record of a unit in a cell begins, unless another run was found to hold it."""
        if unit.key not in self.places:
            self.places[unit.key] = self._places_of(unit)
        if self.places[unit.key][cell_number] == _NOWHERE:
            if journal not in self.journals[-1:]:
                self.journals.append(journal)
            self.places[unit.key][cell_number] = (len(self.journals) - 1) << _OFFSET_BITS | offset
            self.n_records[journal.parent.name] += 1

    def _places_of(self, unit: Unit) -> array:
        return self.places.get(unit.key) or array("q", [_NOWHERE] * len(self.cells))

    def _read(self, place: int) -> dict:
        with open(self.journals[place >> _OFFSET_BITS], "rb") as file:
            file.seek(place & ((1 << _OFFSET_BITS) - 1))
            return strict_json(file.readline())


def find_earlier_records(folder: Path, identity: dict, units: list[Unit], cells: list[Cell]) -> EarlierRecords:
    """What the run folders beside this one hold of these units in these cells.

    A record counts only if its question, options and caps are the unit's, and if it has no error.
    """
    found, by_key = EarlierRecords(cells), {unit.key: unit for unit in units}
    numbers = {(cell.total_budget, cell.answer_thinking_ratio): number for number, cell in enumerate(cells)}
    for path in sorted(folder.parent.glob("*/records.jsonl")):
        if path.parent == folder or not _is_same_but_grown(path.parent, identity):
            continue
        for offset, record in _lines(path):
            unit = by_key.get(tuple(record[name] for name in UNIT_NAMES))
            number = numbers.get((record.get("total_budget"), record.get("answer_thinking_ratio")))
            if unit is None or number is None or record["error"] is not None:
                continue
            if _is_of(record, unit, cells[number]):
                found.take(unit, number, path, offset)
    return found


def _is_same_but_grown(folder: Path, identity: dict) -> bool:
    try:
        other = read_config(folder)
    except UserError:  # its own run will be told
        return False
    if other is None:
        return False
    one, two = ({k: v for k, v in each.items() if k not in MAY_GROW} for each in (other["identity"], identity))
    return canonical_json(one) == canonical_json(two)


def _lines(path: Path) -> Iterator[tuple[int, dict]]:
    """(byte at which it begins, record) of every line that is a whole record; what comes behind damage is left out."""
    offset = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                record = strict_json(line)
                if not line.endswith(b"\n") or not {*UNIT_NAMES, "error"} <= record.keys():
                    return
            except (ValueError, AttributeError):
                return
            yield offset, record
            offset += len(line)


def _is_of(record: dict, unit: Unit, cell: Cell) -> bool:
    caps = cell.answer_budget, cell.confidence_budget
    wanted = (unit.question.question, list(unit.options), list(unit.option_order), unit.correct_option, *caps)
    names = ("question", "options", "option_order", "correct_option", "answer_budget", "confidence_budget")
    return wanted == tuple(record.get(name) for name in names) and record.get("category") == unit.question.category
