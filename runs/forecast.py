"""`--dry-run`: what a run would compute and cost, before it does. Nothing is kept."""
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path

from basics.strict_json import canonical_json
from evaluation_tool import sampled_thinking_tokens
from questions.option_orders import Unit
from runs.computation import compute_units
from runs.journal import read_records
from runs.prepared_run import PreparedRun
from runs.progress import shown_progress, summed
from scoring.record_schema import UNIT_NAMES

PILOT_QUESTIONS = 20


@dataclass
class Costs:
    """What computed units cost. source: which they are; n_bytes: of records; n_tokens: thinking tokens sampled."""

    source: str
    n_units: int = 0
    n_bytes: int = 0
    n_tokens: int = 0

    def add(self, units: Iterable[list[dict]]) -> "Costs":
        """Counts the records of units."""
        for records in units:
            self.n_units += 1
            self.n_tokens += sampled_thinking_tokens(records)
            self.n_bytes += sum(len(canonical_json(record)) for record in records)
        return self


def forecast(run: PreparedRun) -> Iterator[str]:
    """The lines that `--dry-run` prints.

    A pilot is computed, whose records are not kept. The seconds are its own; so are the tokens, unless other runs hold
    units of as many questions. Raises what a computation raises.
    """
    units, settings, on_disk = run.workload.units, run.settings, run.on_disk
    open_ones = [unit for unit in units if unit.key not in on_disk]
    left = [unit for unit in open_ones if run.earlier.cells_left(unit)]
    yield "Dry run: nothing is kept."
    caps = [f"{cell.answer_budget} + {cell.confidence_budget}" for cell in run.cells]
    yield f"Cells: {len(caps)}, with caps of the answer + confidence stage of {', '.join(caps)} tokens"
    yield (
        f"Units: {len(units):,} ({len(run.workload.questions):,} questions, N_PERMUTATIONS"
        f" {settings['N_PERMUTATIONS']:,}, N_THOUGHTS {settings['N_THOUGHTS']:,}); records:"
        f" {len(units) * len(run.cells):,}"
    )
    yield (
        f"On disk: {len(on_disk):,} units; to be taken over from other runs: {len(open_ones) - len(left):,};"
        f" to compute, in whole or in part: {len(left):,}"
    )
    if left:
        yield _prompts_line(run, left)
        chosen = _pilot_units(run, left)
        yield f"Pilot: {len(chosen):,} units, computed as a run would ..."
        pilot, seconds = _pilot(run, chosen)
        costs = _costs_of_earlier(run) or pilot
        share = len(left) / costs.n_units
        yield (
            f"Mean of {costs.n_units:,} units {costs.source}: {costs.n_tokens / costs.n_units:,.1f} thinking tokens;"
            f" so about {share * costs.n_tokens:,.0f} in all, and {share * costs.n_bytes / 1e6:,.1f} MB of records"
        )
        minutes = seconds / pilot.n_units * len(left) / 60
        yield f"Time: about {minutes:,.1f} min, at the speed of the pilot's {pilot.n_units:,} units"


def _prompts_line(run: PreparedRun, left: list[Unit]) -> str:
    """A question has a confidence prompt for each answer that it is given at some cap."""
    answer_caps, confidence_caps = {c.answer_budget for c in run.cells}, {c.confidence_budget for c in run.cells}
    n_answers = sum(min(len(answer_caps), len(unit.options)) for unit in left)
    n_tokens = len(left) * max(answer_caps) + n_answers * max(confidence_caps)
    return (
        f"Prompts: {len(left):,} of the answer stage, {len(left):,} to {n_answers:,} of the confidence stage; thinking"
        f" tokens to sample: at most {n_tokens:,}"
    )


def _costs_of_earlier(run: PreparedRun) -> Costs | None:
    """Of the units that other runs hold whole; None if they are of too few questions."""
    whole = [unit for unit in run.workload.units if not run.earlier.cells_left(unit)]
    if len({unit.question.question_id for unit in whole}) < PILOT_QUESTIONS:
        return None
    return Costs("of other runs").add(run.earlier.completed(unit, []) for unit in whole)


def _pilot_units(run: PreparedRun, left: list[Unit]) -> list[Unit]:
    """Units of PILOT_QUESTIONS questions of all lengths: as many as a batch holds, but at least one of each."""
    units_of: dict[str, list[Unit]] = {}
    for unit in left:
        units_of.setdefault(unit.question.question_id, []).append(unit)
    spread = [place * len(units_of) // PILOT_QUESTIONS for place in range(PILOT_QUESTIONS)]
    chosen = [list(units_of.values())[place] for place in sorted(set(spread))]
    by_turns = [unit for of_turn in zip_longest(*chosen) for unit in of_turn if unit]
    return by_turns[: max(run.batch_size, len(chosen))]


def _pilot(run: PreparedRun, pilot: list[Unit]) -> tuple[Costs, float]:
    """What the units cost, and the seconds they took, in a temporary folder. Shows how far they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        computation = run.computation(path, pilot)
        with shown_progress(len(pilot), 0) as show:
            compute_units(computation, pilot, summed(show))
        records = groupby(read_records(path), key=itemgetter(*UNIT_NAMES))
        return Costs("of a pilot").add(list(of_unit) for _, of_unit in records), computation.seconds
