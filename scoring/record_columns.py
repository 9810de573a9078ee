"""The scored fields of a run's records as arrays, without texts and thoughts: what every figure is computed from."""
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from scoring.record_schema import (
    CELL_NAMES,
    CONFIDENCE_NAMES,
    COUNT_NAMES,
    MASS_NAMES,
    STAGES,
    STOPPED_NAMES,
    STOPS,
)

_UNIT_COLUMNS = ("question", "permutation", "thought")
_CODES = {stop: code for code, stop in enumerate(STOPS)}


@dataclass(frozen=True)
class CellColumns:
    """One cell's records, sorted by question id, permutation and thought; every array has one entry per record.

    question, unit, category: indices into the run's sorted question ids, its sorted units and its categories. is_first:
    the first thought on the order as given, one record per question: what needs independent answers rests on these,
    since all records of a question share much of its outcome. is_answered: an answer could be had; is_correct: False
    without one. chosen_option, correct_option: indices into the options as shown, chosen_original into the options as
    given; -1 without an answer.
    numbers: by field, float64, NaN where the record has null; counts: by field, tokens, -1 for null; stopped: by stage,
    indices into STOPS, -1 for null.
    """

    total_budget: int
    answer_thinking_ratio: float | None
    answer_budget: int
    confidence_budget: int
    question: np.ndarray
    permutation: np.ndarray
    thought: np.ndarray
    unit: np.ndarray
    category: np.ndarray
    is_error: np.ndarray
    is_answered: np.ndarray
    is_correct: np.ndarray
    chosen_option: np.ndarray
    correct_option: np.ndarray
    chosen_original: np.ndarray
    numbers: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    stopped: dict[str, np.ndarray]

    def __len__(self):
        return len(self.question)

    @property
    def is_first(self) -> np.ndarray:
        """(records,) bools, as above."""
        return (self.permutation == 0) & (self.thought == 0)

    def where(self, chosen: np.ndarray) -> "CellColumns":
        """The records that are chosen, (records,) bools."""
        parts = {one.name: getattr(self, one.name) for one in fields(self)}
        return CellColumns(**{
            name: value[chosen] if isinstance(value, np.ndarray)
            else {key: column[chosen] for key, column in value.items()} if isinstance(value, dict)
            else value
            for name, value in parts.items()
        })  # fmt: skip

    def cap(self, stage: str) -> int:
        """Thinking tokens that the stage may use."""
        return self.answer_budget if stage == "answer" else self.confidence_budget

    def confidence(self, name: str) -> np.ndarray:
        """(records,) floats, NaN where there is none and where the record has an error: such a one is never scored."""
        return np.where(self.is_error, np.nan, self.numbers[name])


class _Growing:
    """Columns of one cell while its records come in, one compact array per field."""

    def __init__(self, record: dict):
        self.cell = {name: record[name] for name in CELL_NAMES}
        self.whole = {name: array("q") for name in ("question", "permutation", "thought", "category")}
        self.small = {
            name: array("b")
            for name in ("is_error", "is_correct", "chosen_option", "correct_option", "chosen_original", *STOPPED_NAMES)
        }
        self.floats = {name: array("d") for name in (*CONFIDENCE_NAMES, *MASS_NAMES)}
        self.counts = {name: array("i") for name in COUNT_NAMES}

    def add(self, record: dict, question: int, category: int) -> None:
        self.whole["question"].append(question)
        self.whole["permutation"].append(record["permutation"])
        self.whole["thought"].append(record["thought"])
        self.whole["category"].append(category)
        chosen = record["predicted_option"]
        small = self.small
        small["is_error"].append(record["error"] is not None)
        small["is_correct"].append(-1 if record["is_correct"] is None else record["is_correct"])
        small["chosen_option"].append(-1 if chosen is None else chosen)
        small["correct_option"].append(record["correct_option"])
        small["chosen_original"].append(-1 if chosen is None else record["option_order"][chosen])
        for name in STOPPED_NAMES:
            small[name].append(_CODES.get(record[name], -1))
        for name, column in self.floats.items():
            value = record[name]
            column.append(np.nan if value is None else value)
        for name, column in self.counts.items():
            value = record[name]
            column.append(-1 if value is None else value)

    def finish(self, rank_of_question: np.ndarray, units: np.ndarray) -> CellColumns:
        """rank_of_question: of each question number among the sorted ids; units: all of the run, sorted."""
        question = rank_of_question[np.array(self.whole["question"])]
        permutation, thought = np.array(self.whole["permutation"]), np.array(self.whole["thought"])
        order = np.lexsort((thought, permutation, question))
        small = {name: np.array(column)[order] for name, column in self.small.items()}
        return CellColumns(
            **self.cell,
            question=question[order],
            permutation=permutation[order],
            thought=thought[order],
            unit=np.searchsorted(units, self.unit_numbers(rank_of_question)[order]),
            category=np.array(self.whole["category"])[order],
            is_error=small["is_error"] == 1,
            is_answered=small["is_correct"] >= 0,
            is_correct=small["is_correct"] == 1,
            chosen_option=small["chosen_option"],
            correct_option=small["correct_option"],
            chosen_original=small["chosen_original"],
            numbers={name: np.array(column)[order] for name, column in self.floats.items()},
            counts={name: np.array(column)[order] for name, column in self.counts.items()},
            stopped={stage: small[f"{stage}_stopped"] for stage in STAGES},
        )

    def unit_numbers(self, rank_of_question: np.ndarray) -> np.ndarray:
        """(records,) one number per unit, in the order of units."""
        question, permutation, thought = (np.array(self.whole[name], np.int64) for name in _UNIT_COLUMNS)
        return rank_of_question[question] << 40 | permutation << 20 | thought


class RecordColumns:
    """The columns of every cell of a run.

    records: as read from `records.jsonl`, in any order. cells: sorted by total budget and ratio. n_questions, n_units:
    distinct questions and units over all cells. categories: distinct, None where there is none.
    """

    def __init__(self, records: Iterable[dict]):
        numbers: dict[str, int] = {}
        categories: dict[str | None, int] = {}
        growing: dict[tuple, _Growing] = {}
        for record in records:
            key = (record["total_budget"], record["answer_thinking_ratio"])
            if key not in growing:
                growing[key] = _Growing(record)
            question = numbers.setdefault(record["question_id"], len(numbers))
            growing[key].add(record, question, categories.setdefault(record["category"], len(categories)))
        rank = np.empty(len(numbers), dtype=np.int64)
        rank[[numbers[question_id] for question_id in sorted(numbers)]] = np.arange(len(numbers))
        of_cells = [cell.unit_numbers(rank) for cell in growing.values()]
        units = np.unique(np.concatenate(of_cells)) if of_cells else np.array([], dtype=np.int64)
        self.n_questions, self.n_units = len(numbers), len(units)
        self.categories = list(categories)
        self.cells = [
            growing[key].finish(rank, units) for key in sorted(growing, key=lambda key: (key[0], key[1] or 0.0))
        ]

    def sampled_thinking_tokens(self) -> dict[str, int]:
        """Tokens sampled in each stage, and in total, each thought counted once, at its longest.

        A thought belongs to its unit, in the confidence stage to its unit and proposed option.
        """
        most_options = max((int(cell.chosen_option.max(initial=-1)) for cell in self.cells), default=-1) + 1
        sampled = {
            "answer": self._longest_thoughts("answer", None),
            "confidence": sum(self._longest_thoughts("confidence", option) for option in range(most_options)),
        }
        return sampled | {"total": sum(sampled.values())}

    def standalone_thinking_tokens(self) -> dict[str, int]:
        """Tokens that the cells would have sampled in each stage, and in total, had each run alone."""
        counted = {
            stage: sum(int(cell.counts[f"{stage}_thinking_tokens"].clip(0).sum()) for cell in self.cells)
            for stage in STAGES
        }
        return counted | {"total": sum(counted.values())}

    def _longest_thoughts(self, stage, option):
        longest = np.zeros(self.n_units, dtype=np.int64)
        for cell in self.cells:
            belongs = slice(None) if option is None else cell.chosen_option == option
            units, used = cell.unit[belongs], cell.counts[f"{stage}_thinking_tokens"][belongs]
            longest[units] = np.maximum(longest[units], used)
        return int(longest.sum())
