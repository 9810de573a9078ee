"""The computation of a run: batches of units become records, each batch on disk before the next begins."""
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path

from basics.errors import UserError
from evaluation_tool import answer_request, confidence_request, make_record, sampled_thinking_tokens
from questions.option_orders import Unit
from runs import stop_signals
from runs.budgets import Cell
from runs.earlier_records import EarlierRecords
from runs.journal import Journal
from runs.progress import ShareProgress, Show, most_tokens
from thinking.memory_faults import is_out_of_memory
from thinking.model_interface import ReasoningModel
from thinking.two_stages import TwoStages, read_two_stages

MOST_ERRORS = 0.01  # share of a run's records with an error above which the run ends: the model or the machine is ill


class Computation:
    """The computation of one process of a run, into a journal of its own.

    earlier: the run's cells, and where other runs hold records of them. batch_size: prompts at a time; once memory ran
    out, the smaller number that fitted. seconds: spent on batches so far. n_records: of the whole run, of all its
    processes.
    """

    def __init__(
        self, model: ReasoningModel, earlier: EarlierRecords, seed: int, batch_size: int, journal: Journal,
        n_records: int,
    ):  # fmt: skip
        self.model, self.seed, self.batch_size = model, seed, batch_size
        self.earlier, self.cells = earlier, earlier.cells
        self.journal, self.n_records, self.seconds = journal, n_records, 0.0

    @property
    def cost(self) -> dict:
        """What `config.json` says of it: batch_size, seconds."""
        return {"batch_size": self.batch_size, "seconds": self.seconds}

    def watch(self, told: Callable[[int], None]) -> None:
        """From now on calls `told`, in this thread, with the number of tokens newly sampled."""
        self.model.watch(told)

    def take_over_earlier(self, units: list[Unit]) -> None:
        """Puts the units on disk that other runs hold whole."""
        for records in self.earlier.whole_units([unit for unit in units if unit.key not in self.journal.finished.ids]):
            with stop_signals.held("the records that are taken over"):
                self.journal.append(records)

    def batches(self, units: list[Unit]) -> Iterator[tuple[int, int]]:
        """Computes the units; yields, per batch on disk, its number of units and of sampled thinking tokens.

        A signal that asks for an end is obeyed between two batches. Raises UserError if a single unit does not fit into
        memory, if the disk is full, or if more records carry an error than MOST_ERRORS allows.
        """
        # Units that lack the same cells share batches.
        units = sorted(units, key=lambda unit: -len(self.earlier.cells_left(unit)))
        while units:
            started = time.monotonic()
            with stop_signals.held("the batch in progress"):
                computed = self._records_that_fit(units)
                done, units = units[: len(computed)], units[len(computed) :]
                self.journal.append([self.earlier.completed(*of_unit) for of_unit in zip(done, computed, strict=True)])
            self.seconds += time.monotonic() - started
            yield len(computed), sum(map(sampled_thinking_tokens, computed))
            self.check_errors()

    def check_errors(self) -> None:
        """Raises UserError if more than MOST_ERRORS of the run's records carry an error, unless all are of one unit.

        The share is of all records that the run will have, so neither batch size nor an interruption decides. One unit
        is let off: in a small run a single broken thought is above any share.
        """
        with_errors = self.journal.finished.with_errors
        if len(with_errors) > 1 and with_errors.total() > MOST_ERRORS * self.n_records:
            path = self.journal.path
            raise UserError(
                f"{with_errors.total():,} of the run's {self.n_records:,} records carry an error (logits that are not"
                f" finite), more than {MOST_ERRORS:.0%}: the model's weights, its number format or the machine are at"
                f" fault. What was computed is in {path}; to begin anew, mend the cause and move {path.parent} away"
            )

    def _records_that_fit(self, units) -> list[list[dict]]:
        """New records of the first units, as many as a batch holds. When memory runs out, half the batch is tried."""
        cells = self.earlier.cells_left(units[0])
        units = list(takewhile(lambda unit: self.earlier.cells_left(unit) == cells, units[: self.batch_size]))
        while True:
            try:
                return compute_records(self.model, units[: self.batch_size], cells, self.seed, self.batch_size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch_size == 1:
                    raise self._one_does_not_fit(units[0], error) from error
            # Outside of `except`: the error would keep alive what filled the memory.
            from accelerate.utils.memory import clear_device_cache

            clear_device_cache(garbage_collection=True)
            self.batch_size = (min(self.batch_size, len(units)) + 1) // 2
            print(f"Out of memory; going on with {self.batch_size} prompts at a time", file=sys.stderr, flush=True)

    def _one_does_not_fit(self, unit, error) -> UserError:
        caps = tuple({cell.answer_budget for cell in self.cells})
        (tokens,) = self.model.encoder.tokens_needed([answer_request(unit, caps, self.seed)])
        memory = ". ".join(str(error).partition("\n")[0].split(". ")[:3])  # what was asked for, what is free
        return UserError(
            f"question {unit.question.question_id!r}: out of memory with one prompt at a time; prompt, thinking budget"
            f" and read-outs are {tokens:,} tokens: lower TOTAL_BUDGET, remove the question or use more memory"
            f" ({memory})"
        )


def compute_units(
    computation: Computation, units: list[Unit], report: Show, check: Callable[[], None] = lambda: None
) -> None:
    """Computes the units. report: takes what is new, as `ShareProgress` reports it; check: called after each batch."""
    from thinking.libraries import rare_garbage_collection  # here: --help needs no torch

    progress = ShareProgress(report, len(units), most_tokens(computation.cells))
    computation.watch(lambda tokens: progress.sampled(tokens, computation.batch_size))
    with rare_garbage_collection():
        for batch in computation.batches(units):
            progress.finished(*batch)
            check()


def open_journal(path: Path, units: list[Unit], cells: list[Cell]) -> Journal:
    """A journal of these units in these cells, new or to go on with."""
    return Journal(
        path,
        units={unit.key for unit in units},
        cells=[(cell.total_budget, cell.answer_thinking_ratio) for cell in cells],
    )


def compute_records(
    model: ReasoningModel, units: list[Unit], cells: list[Cell], seed: int, batch_size: int
) -> list[list[dict]]:
    """Records per unit, inside in the order of the cells. batch_size: thoughts at a time, >= 1."""
    answer_caps = tuple(sorted({cell.answer_budget for cell in cells}))
    confidence_caps = tuple(sorted({cell.confidence_budget for cell in cells}))
    questions = [
        TwoStages(
            answer=answer_request(unit, answer_caps, seed),
            confidence=partial(confidence_request, unit, caps=confidence_caps, seed=seed),
        )
        for unit in units
    ]
    pairs = [(cell.answer_budget, cell.confidence_budget) for cell in cells]
    readings = read_two_stages(model, questions, pairs, batch_size)
    return [
        [make_record(unit, cell, *of_cell) for cell, of_cell in zip(cells, of_unit, strict=True)]
        for unit, of_unit in zip(units, readings, strict=True)
    ]
