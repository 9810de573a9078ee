"""A run that is ready to compute: settings, questions and model, and what follows from them."""
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from questions.option_orders import Unit
from questions.question_sets import QuestionSet
from runs.budgets import Cell
from runs.computation import Computation, open_journal
from runs.earlier_records import EarlierRecords, find_earlier_records
from runs.identity import run_identity
from runs.in_flight import ComputationInFlight
from runs.journal import UnitKey, read_finished_units
from runs.results_folder import run_name
from runs.units import Workload
from thinking.model_interface import ReasoningModel


@dataclass(frozen=True)
class PreparedRun:
    """What a run computes with. batch_size: prompts at a time, or with vLLM questions in flight."""

    settings: dict
    cells: list[Cell]
    question_set: QuestionSet
    workload: Workload
    model: ReasoningModel
    batch_size: int

    @cached_property
    def identity(self) -> dict:
        """Everything that decides the records."""
        return run_identity(self.settings, self.cells, self.workload.questions, self.model.encoder, self.model)

    @property
    def folder(self) -> Path:
        """Where its results go."""
        name = run_name(self.settings["model_name"], self.settings["DATASET"], self.cells, self.identity)
        return Path(self.settings["SAVE_DIR"]).expanduser() / name

    @cached_property
    def on_disk(self) -> set[UnitKey]:
        """Its units that were on disk in its own folder when it was first asked."""
        path = self.folder / "records.jsonl"
        if not path.exists():
            return set()
        cells = [(cell.total_budget, cell.answer_thinking_ratio) for cell in self.cells]
        return read_finished_units(path, {unit.key for unit in self.workload.units}, cells).ids

    @cached_property
    def earlier(self) -> EarlierRecords:
        """What other runs hold of the units that are not on disk."""
        units = [unit for unit in self.workload.units if unit.key not in self.on_disk]
        return find_earlier_records(self.folder, self.identity, units, self.cells)

    def computation(self, path: Path, units: list[Unit]) -> Computation:
        """The computation of units into a journal, new or to go on with. What other runs hold is taken over."""
        journal, n_records = open_journal(path, units, self.cells), len(self.workload.units) * len(self.cells)
        kind = Computation if self.settings["ENGINE"] == "transformers" else ComputationInFlight
        return kind(self.model, self.earlier, self.settings["SEED"], self.batch_size, journal, n_records)
