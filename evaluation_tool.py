"""Prompts beside their read-outs, scoring, metrics and JSON. Needs no model and no GPU."""
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from math import fsum
from operator import mul
from string import ascii_uppercase

from basics.strict_json import canonical_json
from scoring.fields import in_order
from scoring.record_schema import CELL_NAMES, CONFIDENCE_NAMES, RECORD_FIELDS, STAGE_FIELDS, STAGES
from thinking.model_interface import Reading, Readout, ThoughtRequest

CONFIDENCES = tuple(step / 100 for step in range(101))  # the numbers that a verbalised confidence can be


# --- answer stage ------------------------------------------------------------------------------------------------


def lettered(options: tuple[str, ...]) -> str:
    """The options as lines `A) ...`, in the order given."""
    return "\n".join(f"{letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False))


def answer_prompt(question: str, options: tuple[str, ...]) -> str:
    """User turn of the answer stage."""
    return (
        "Answer the multiple-choice question. Exactly one option is correct.\n\n"
        f"{question}\n{lettered(options)}\n\n"
        'Finish with "Answer: <letter>".'
    )


@cache
def answer_readout(n_options: int) -> Readout:
    """Reads one letter per option, in the order of the options. n_options: 2..26."""
    return Readout("Answer:", tuple((f" {letter}",) for letter in ascii_uppercase[:n_options]))


# --- confidence stage --------------------------------------------------------------------------------------------


def confidence_prompt(question: str, options: tuple[str, ...], proposed_option: int) -> str:
    """User turn of the confidence stage, a fresh chat. proposed_option: index into the options as shown."""
    return (
        "Judge whether the proposed answer to the multiple-choice question is correct."
        " Exactly one option is correct.\n\n"
        f"{question}\n{lettered(options)}\n\n"
        f"Proposed answer: {ascii_uppercase[proposed_option]}) {options[proposed_option]}\n\n"
        'Finish with "Confidence: <number between 0.00 and 1.00>",'
        " the probability that the proposed answer is correct."
    )


CONFIDENCE_READOUT = Readout("Confidence:", tuple((f" {confidence:.2f}",) for confidence in CONFIDENCES))
P_TRUE_READOUT = Readout("Is the proposed answer correct? Yes or no:", ((" yes", " Yes"), (" no", " No")))


def prompts_identity() -> dict:
    """All texts that the program puts around a question, as they look on an example; part of the run name.

    The example has the most options that a question can have, so that every letter is in it. confidences: what the
    choices of the confidence read-out stand for, in their order.
    """
    example = ("<question>", ("<option>",) * len(ascii_uppercase))
    return {
        "answer_prompt": answer_prompt(*example),
        "answer_readout": asdict(answer_readout(len(ascii_uppercase))),
        "confidence_prompt": confidence_prompt(*example, 0),
        "confidence_readout": asdict(CONFIDENCE_READOUT),
        "confidences": list(CONFIDENCES),
        "p_true_readout": asdict(P_TRUE_READOUT),
    }


# --- requests ----------------------------------------------------------------------------------------------------


def answer_request(unit, caps: tuple[int, ...], seed: int) -> ThoughtRequest:
    """The answer stage of a unit (a thought about a question in one order of its options) at every cap."""
    return ThoughtRequest(
        user_text=answer_prompt(unit.question.question, unit.options),
        caps=caps,
        readouts={"answer": answer_readout(len(unit.options))},
        random_key=random_key(seed, unit, "answer", None),
    )


def confidence_request(unit, proposed_option: int, caps: tuple[int, ...], seed: int) -> ThoughtRequest:
    """The confidence stage of a unit and one proposed answer, an index into the options as shown, at every cap."""
    return ThoughtRequest(
        user_text=confidence_prompt(unit.question.question, unit.options, proposed_option),
        caps=caps,
        readouts={"confidence": CONFIDENCE_READOUT, "p_true": P_TRUE_READOUT},
        random_key=random_key(seed, unit, "confidence", proposed_option),
    )


def random_key(seed: int, unit, stage: str, proposed_option: int | None) -> str:
    """What the randomness of a thought is a function of: the row, not the batch.

    The first thought's key does not name it, so a run with one thought is the beginning of a run with more.
    """
    question_id, permutation, thought = unit.key
    later = [thought] if thought else []
    return canonical_json([seed, question_id, permutation, stage, proposed_option, *later])


# --- scoring -----------------------------------------------------------------------------------------------------


_NAMES_OF_STAGE = {stage: [(one.name, f"{stage}_{one.name}") for one in STAGE_FIELDS] for stage in STAGES}


def make_record(unit, cell, answer: Reading, judged: Reading | None) -> dict:
    """One line of `records.jsonl`: a unit in a cell, its fields as declared. judged: None without an answer."""
    answer_result = answer.readouts["answer"]
    predicted_option = answer_result and answer_result.likeliest
    confidence = judged.readouts["confidence"] if judged else None
    p_true = judged.readouts["p_true"] if judged else None
    errors = [
        f"{stage} stage: {reading.error}"
        for stage, reading in (("answer", answer), ("confidence", judged))
        if reading and reading.error
    ]
    values = {
        "question_id": unit.question.question_id,
        "category": unit.question.category,
        "permutation": unit.permutation,
        "thought": unit.thought,
        **{name: getattr(cell, name) for name in CELL_NAMES},
        "question": unit.question.question,
        "options": list(unit.options),
        "option_order": list(unit.option_order),
        "correct_option": unit.correct_option,
        "predicted_option": predicted_option,
        "is_correct": None if predicted_option is None else predicted_option == unit.correct_option,
        "answer_probabilities": answer_result and answer_result.probabilities,
        "answer_probability": answer_result and answer_result.probabilities[predicted_option],
        "answer_readout_mass": answer_result and answer_result.mass,
        "confidence": confidence and CONFIDENCES[confidence.likeliest],
        "confidence_expectation": confidence and min(1.0, fsum(map(mul, CONFIDENCES, confidence.probabilities))),
        "confidence_readout_mass": confidence and confidence.mass,
        "p_true": p_true and p_true.probabilities[0],
        "p_true_readout_mass": p_true and p_true.mass,
        **_stage_fields("answer", answer),
        **_stage_fields("confidence", judged),
        "error": "; ".join(errors) or None,
    }
    return check_caps(in_order(RECORD_FIELDS, values))


def sampled_thinking_tokens(records: list[dict]) -> int:
    """Thinking tokens that were sampled for the records of one unit: each thought once, at its longest."""
    longest = defaultdict(int)
    for record in records:
        for thought, stage in ((None, "answer"), (record["predicted_option"], "confidence")):
            used = record[f"{stage}_thinking_tokens"] or 0
            longest[stage, thought] = max(longest[stage, thought], used)
    return sum(longest.values())


def check_caps(record: dict) -> dict:
    """The record. Raises RuntimeError if a stage of it thought longer than its cap: a fault of the program."""
    for stage in STAGES:
        ids, used, cap = (record[f"{stage}_{name}"] for name in ("thinking_ids", "thinking_tokens", "budget"))
        if ids is not None and not len(ids) == used <= cap:
            raise RuntimeError(
                f"{stage} stage of question {record['question_id']!r}: {len(ids)} thinking ids, {used} thinking tokens,"
                f" cap {cap}; this is a fault of the program, please report it"
            )
    return record


def _stage_fields(stage: str, reading: Reading | None) -> dict:
    names = _NAMES_OF_STAGE[stage]
    return {full: None if reading is None else getattr(reading, name) for name, full in names}


# --- summary -----------------------------------------------------------------------------------------------------


def summarise(
    records: Iterable[dict],
    target_error: float,
    seed: int,
    headline_confidence: str = CONFIDENCE_NAMES[0],
    wrong_answer_costs: Sequence[float] = (),
    smallest_difference: float = 0.0,
) -> dict:
    """Every metric of every cell, the comparisons between them and the audit of the caps; a function of the records.

    records: as read from `records.jsonl`, in any order. target_error: in (0, 1). seed: of the resamples behind the
    comparisons, which are the same for every cell, of the redraws behind `ece_if_calibrated` and of the folds of
    recalibration. headline_confidence: which of CONFIDENCE_NAMES decides. wrong_answer_costs: above 0, for the
    utilities. smallest_difference: of AURC, in [0, 1); nothing is said about equivalence at 0. The fields of a cell are
    those of CELL_FIELDS.
    """
    # Imported when records are scored: numpy and scipy take a second, which `--help` need not wait for.
    import numpy as np

    from scoring import diagnostics, metrics
    from scoring.cell_summary import Scoring, cell_summary
    from scoring.comparisons import compare
    from scoring.record_columns import RecordColumns

    columns = RecordColumns(records)
    weights = metrics.question_resamples(max(columns.n_questions, 1), np.random.default_rng(seed))
    costs = sorted(set(wrong_answer_costs))
    scoring = Scoring(columns, weights, target_error, seed, headline_confidence, costs)
    cells, arms = [], {name: [] for name in CONFIDENCE_NAMES}
    for cell in columns.cells:
        summary, cell_arms = cell_summary(cell, scoring)
        cells.append(summary)
        for name, arm in cell_arms.items():
            arms[name].append(arm)
    others = [name for name in CONFIDENCE_NAMES if name != headline_confidence]
    shared = columns.n_units, columns.n_questions, costs, smallest_difference
    audits = [cell["budget_audit"][stage] for cell in cells for stage in STAGES]
    return {
        "n_records": sum(cell["n_records"] for cell in cells),
        "n_errors": sum(cell["n_errors"] for cell in cells),
        "largest_overshoot": max((audit["largest_overshoot"] for audit in audits), default=0),
        "sampled_thinking_tokens": columns.sampled_thinking_tokens(),
        "standalone_thinking_tokens": columns.standalone_thinking_tokens(),
        "target_error": target_error,
        "headline_confidence": headline_confidence,
        "wrong_answer_costs": list(wrong_answer_costs),
        "smallest_difference": smallest_difference,
        "comparisons": compare(arms[headline_confidence], *shared, other_confidences=[arms[name] for name in others]),
        "other_comparisons": {name: compare(arms[name], *shared) for name in others},
        "cells": cells,
        "saturation": {stage: diagnostics.saturation(columns.cells, stage) for stage in STAGES},
    }
