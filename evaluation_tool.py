"""Prompts beside their read-outs, scoring, metrics and JSON. Needs no model and no GPU."""
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from string import ascii_uppercase

import numpy as np

from basics.strict_json import canonical_json
from scoring import diagnostics, metrics
from scoring.cell_intervals import NO_INTERVAL, metric_intervals
from scoring.comparisons import METRIC_NAMES, Arm, compare
from scoring.fields import in_order
from scoring.guaranteed_thresholds import coverage_lower_bound, guaranteed_threshold, target_errors
from scoring.record_columns import CellColumns, RecordColumns
from scoring.record_schema import CELL_NAMES, CONFIDENCE_NAMES, RECORD_FIELDS, STAGE_FIELDS, STAGES
from scoring.summary_schema import CELL_FIELDS, CONFIDENCE_FIELDS
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
    """The answer stage of a unit (a question in one order of its options) at every cap."""
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
    """What the randomness of a thought is a function of: the row, not the batch."""
    return canonical_json([seed, *unit.key, stage, proposed_option])


# --- scoring -----------------------------------------------------------------------------------------------------


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
        "confidence": confidence and CONFIDENCES[int(np.argmax(confidence.probabilities))],
        "confidence_expectation": confidence and min(1.0, float(np.dot(CONFIDENCES, confidence.probabilities))),
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
    names = [one.name for one in STAGE_FIELDS]
    return {f"{stage}_{name}": None if reading is None else getattr(reading, name) for name in names}


# --- summary -----------------------------------------------------------------------------------------------------


def summarise(records: Iterable[dict], target_error: float, seed: int) -> dict:
    """Every metric of every cell, the comparisons between them and the audit of the caps; a function of the records.

    records: as read from `records.jsonl`, in any order. target_error: in (0, 1). seed: of the resamples behind the
    comparisons, which are the same for every cell, and of the redraws behind `ece_if_calibrated`. The fields of a cell
    are those of CELL_FIELDS.
    """
    columns = RecordColumns(records)
    weights = metrics.question_resamples(max(columns.n_questions, 1), np.random.default_rng(seed))
    cells, arms = [], []
    for cell in columns.cells:
        summary, arm = _cell_summary(cell, columns, weights, target_error, seed)
        cells.append(summary)
        arms.append(arm)
    audits = [cell["budget_audit"][stage] for cell in cells for stage in STAGES]
    return {
        "n_records": sum(cell["n_records"] for cell in cells),
        "n_errors": sum(cell["n_errors"] for cell in cells),
        "largest_overshoot": max((audit["largest_overshoot"] for audit in audits), default=0),
        "sampled_thinking_tokens": columns.sampled_thinking_tokens(),
        "standalone_thinking_tokens": columns.standalone_thinking_tokens(),
        "target_error": target_error,
        "comparisons": compare(arms, columns.n_units, columns.n_questions),
        "cells": cells,
        "saturation": {stage: diagnostics.saturation(columns.cells, stage) for stage in STAGES},
    }


def _cell_summary(cell: CellColumns, run: RecordColumns, weights, target_error, seed) -> tuple[dict, Arm]:
    """The cell's entry in `summary.json`, and the cell as an arm of the comparisons."""
    scored = ~cell.is_error
    # Without any confidence the metrics are those of accuracy alone, over all records without error.
    unranked = np.full(scored.sum(), np.nan), cell.is_correct[scored], cell.question[scored]
    accuracies = metrics.resampled_metrics(*unranked, weights, target_error)["accuracy"]
    confidences = {name: _confidence_summary(name, cell, target_error, seed) for name in CONFIDENCE_NAMES}
    accuracy, headline = diagnostics.mean(cell.is_correct[scored]), confidences["confidence"]
    verbalised, answered = cell.confidence("confidence"), cell.is_answered
    fields = {
        **{name: getattr(cell, name) for name in CELL_NAMES},
        "n_questions": len(np.unique(cell.question)),
        "n_records": len(cell),
        "n_errors": int(cell.is_error.sum()),
        "accuracy": accuracy,
        "accuracy_interval": metric_intervals(*unranked, target_error)["accuracy"],
        "answer_consistency": diagnostics.answer_consistency(cell),
        "confidences": confidences,
        "risk_coverage": metrics.risk_coverage_curve(verbalised[answered], cell.is_correct[answered]),
        "readout_masses": diagnostics.readout_masses(cell),
        "accuracy_by_stop": diagnostics.accuracy_by_stop(cell),
        "position_bias": diagnostics.position_bias(cell),
        "per_permutation": _per_group("permutation", cell.permutation, np.unique(cell.permutation).tolist(), cell),
        "per_category": _per_group("category", cell.category, run.categories, cell),
        "budget_audit": {stage: diagnostics.budget_audit(cell, stage) for stage in STAGES},
        "tokens": {stage: diagnostics.token_sums(cell, stage) for stage in STAGES},
    }
    values = {"accuracy": accuracy} | {name: headline[name] for name in METRIC_NAMES if name != "accuracy"}
    resampled = metrics.resampled_metrics(*_ranked("confidence", cell), weights, target_error)
    return in_order(CELL_FIELDS, fields), Arm(cell, values, resampled | {"accuracy": accuracies})


def _ranked(name, cell):
    """Confidence, correctness and question of each record that has an answer."""
    answered = cell.is_answered
    return cell.confidence(name)[answered], cell.is_correct[answered], cell.question[answered]


def _confidence_summary(name, cell, target_error, seed):
    """Calibration over the records that have the confidence; ranking over all with an answer, missing ones last.

    What holds for independent answers only rests on permutation 0: ECE, guaranteed thresholds, bound of the coverage.
    """
    confidence, is_correct, question = _ranked(name, cell)
    has = ~np.isnan(confidence)
    given, outcome = confidence[has], is_correct[has]
    permutation = cell.permutation[cell.is_answered]
    independent = confidence[permutation == 0], is_correct[permutation == 0]
    observed = metrics.observed_metrics(confidence, is_correct, target_error)
    intervals = metric_intervals(confidence, is_correct, question, target_error)
    declared = [one.name for one in CONFIDENCE_FIELDS if one.name in metrics.METRICS]
    fields = {
        "n": int(has.sum()),
        "n_missing": len(cell) - int(has.sum()),
        "mean_confidence": diagnostics.mean(given),
        **metrics.ece_beside_calibrated(given, outcome, permutation[has], np.random.default_rng(seed)),
        **metrics.brier_parts(given, outcome),
        **{metric: observed[metric] for metric in declared},
        **{f"{metric}_interval": intervals[metric] for metric in declared if metric not in NO_INTERVAL},
        "coverage_at_target_lower_bound": coverage_lower_bound(*independent, target_error),
        "permutation_spread": diagnostics.permutation_spread(cell, cell.confidence(name)),
        "bins": metrics.reliability_bins(given, outcome),
        "guaranteed_thresholds": [guaranteed_threshold(*independent, target) for target in target_errors(target_error)],
    }
    return in_order(CONFIDENCE_FIELDS, fields)


def _per_group(name, group_of_record, groups, cell):
    """Records without error, accuracy and ECE per permutation or per category of the cell, in sorted order."""
    confidence = cell.confidence("confidence")
    rows = []
    for group, value in sorted(enumerate(groups), key=lambda pair: (pair[1] is None, pair[1])):
        inside = group_of_record == (value if name == "permutation" else group)
        if inside.any():
            scored = inside & ~cell.is_error
            has = scored & ~np.isnan(confidence)
            rows.append(
                {
                    name: value,
                    "n": int(scored.sum()),
                    "accuracy": diagnostics.mean(cell.is_correct[scored]),
                    "ece": metrics.expected_calibration_error(confidence[has], cell.is_correct[has]),
                }
            )
    return rows
