"""From units (a question in one order of its options) to records: answer stage, then confidence stage."""
import sys
from dataclasses import dataclass

from basics.strict_json import canonical_json
from evaluation_tool import (
    CONFIDENCE_READOUT,
    P_TRUE_READOUT,
    answer_prompt,
    answer_readout,
    chosen_option,
    confidence_prompt,
    make_record,
)
from runs.budgets import Cell
from thinking.memory_faults import is_out_of_memory
from thinking.model_interface import Reading, ReasoningModel, ThoughtRequest


@dataclass(frozen=True, slots=True)  # slots: there are several per question, all in memory
class Unit:
    """A question with its options in one order.

    options: as shown. option_order: (options,) indices into the original options. correct_option: index into the
    options as shown. category: None if the question set has none.
    """

    question_id: str
    category: str | None
    permutation: int
    question: str
    options: tuple[str, ...]
    option_order: tuple[int, ...]
    correct_option: int


def random_key(seed: int, unit: Unit, stage: str, proposed_option: int | None) -> str:
    """What the randomness of a thought belongs to: the row, not the batch."""
    return canonical_json([seed, unit.question_id, unit.permutation, stage, proposed_option])


def answer_request(unit: Unit, caps: tuple[int, ...], seed: int) -> ThoughtRequest:
    """The answer stage of a unit at every cap."""
    return ThoughtRequest(
        user_text=answer_prompt(unit.question, unit.options),
        caps=caps,
        readouts={"answer": answer_readout(len(unit.options))},
        random_key=random_key(seed, unit, "answer", None),
    )


def confidence_request(unit: Unit, proposed_option: int, caps: tuple[int, ...], seed: int) -> ThoughtRequest:
    """The confidence stage of a unit and one proposed answer at every cap."""
    return ThoughtRequest(
        user_text=confidence_prompt(unit.question, unit.options, proposed_option),
        caps=caps,
        readouts={"confidence": CONFIDENCE_READOUT, "p_true": P_TRUE_READOUT},
        random_key=random_key(seed, unit, "confidence", proposed_option),
    )


def compute_records(
    model: ReasoningModel, units: list[Unit], cells: list[Cell], seed: int, batch_size: int
) -> list[list[dict]]:
    """Records per unit, inside in the order of the cells.

    One thought per unit in the answer stage and one per unit and distinct proposed answer in the confidence stage,
    each sampled once up to the largest cap that a cell needs. batch_size: thoughts at a time, >= 1.
    """
    answer_caps = tuple(sorted({cell.answer_budget for cell in cells}))
    answers = _readings(model, [answer_request(unit, answer_caps, seed) for unit in units], batch_size)

    caps_by_proposal: dict[tuple[int, int], set[int]] = {}
    for index, by_cap in enumerate(answers):
        for cell in cells:
            proposed_option = chosen_option(by_cap[cell.answer_budget])
            if proposed_option is not None:
                caps_by_proposal.setdefault((index, proposed_option), set()).add(cell.confidence_budget)
    # Thoughts of like length share a batch, so that few rows run to the end of it.
    caps_by_proposal = dict(sorted(caps_by_proposal.items(), key=lambda item: -max(item[1])))
    requests = [
        confidence_request(units[index], proposed_option, tuple(sorted(caps)), seed)
        for (index, proposed_option), caps in caps_by_proposal.items()
    ]
    confidences = dict(zip(caps_by_proposal, _readings(model, requests, batch_size), strict=True))

    records = []
    for index, (unit, by_cap) in enumerate(zip(units, answers, strict=True)):
        records.append([])
        for cell in cells:
            answer = by_cap[cell.answer_budget]
            judged = confidences.get((index, chosen_option(answer)), {}).get(cell.confidence_budget)
            records[-1].append(make_record(unit, cell, answer, judged))
    return records


def compute_what_fits(
    model: ReasoningModel, units: list[Unit], cells: list[Cell], seed: int, batch_size: int
) -> tuple[list[list[dict]], int]:
    """Records of the first units, as many as a batch holds, and the batch size that fitted.

    When memory runs out the batch is halved and tried again. Raises the error of a batch of one that does not fit:
    `is_out_of_memory` knows it.
    """
    while True:
        try:
            return compute_records(model, units[:batch_size], cells, seed, batch_size), batch_size
        except (RuntimeError, MemoryError) as error:
            if batch_size == 1 or not is_out_of_memory(error):
                raise
        # Outside of `except`: the error would keep alive what filled the memory.
        from accelerate.utils.memory import clear_device_cache

        clear_device_cache(garbage_collection=True)
        batch_size = (min(batch_size, len(units)) + 1) // 2
        print(f"Out of memory; going on with {batch_size} prompts at a time", file=sys.stderr, flush=True)


def _readings(model, requests, batch_size) -> list[dict[int, Reading]]:
    readings = []
    for start in range(0, len(requests), batch_size):
        readings += model.read_thoughts(requests[start : start + batch_size])
    return [{reading.cap: reading for reading in of_request} for of_request in readings]
