"""Prompts beside their read-outs, scoring, metrics and JSON. Needs no model and no GPU."""
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from string import ascii_uppercase

import numpy as np

from basics.strict_json import canonical_json
from scoring import diagnostics, metrics
from scoring.comparisons import METRIC_NAMES, Arm, compare
from scoring.fields import in_order
from scoring.guaranteed_thresholds import guaranteed_threshold, target_errors
from scoring.recalibration import recalibrated
from scoring.record_columns import CellColumns, RecordColumns
from scoring.record_schema import CELL_NAMES, CONFIDENCE_NAMES, MASS_OF, RECORD_FIELDS, STAGE_FIELDS, STAGES
from scoring.summary_schema import CELL_FIELDS, CONFIDENCE_FIELDS
from scoring.utility import break_even, expected_utility, resampled_utilities, share_given, utility_name
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


@dataclass(frozen=True)
class _Scoring:
    """What the summaries of all cells share; headline: the confidence that decides; weights: of the resamples."""

    run: RecordColumns
    weights: np.ndarray
    target_error: float
    seed: int
    headline: str
    wrong_answer_costs: Sequence[float]


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
    intervals, which are the same for every cell, and of the folds of recalibration. headline_confidence: which of
    CONFIDENCE_NAMES decides. wrong_answer_costs: above 0, for the utilities. smallest_difference: of AURC, in [0, 1);
    nothing is said about equivalence at 0. The fields of a cell are those of CELL_FIELDS.
    """
    columns = RecordColumns(records)
    weights = metrics.question_resamples(max(columns.n_questions, 1), np.random.default_rng(seed))
    costs = sorted(set(wrong_answer_costs))
    scoring = _Scoring(columns, weights, target_error, seed, headline_confidence, costs)
    cells, arms = [], {name: [] for name in CONFIDENCE_NAMES}
    for cell in columns.cells:
        summary, cell_arms = _cell_summary(cell, scoring)
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


def _cell_summary(cell: CellColumns, scoring: _Scoring) -> tuple[dict, dict[str, Arm]]:
    """The cell's entry in `summary.json`, and per confidence the cell as an arm of the comparisons."""
    scored = ~cell.is_error
    # Without any confidence the resampled metrics are those of accuracy alone, over all records without error.
    none, right, question = np.full(scored.sum(), np.nan), cell.is_correct[scored], cell.question[scored]
    accuracies = metrics.resampled_metrics(none, right, question, scoring.weights, scoring.target_error)["accuracy"]
    accuracy_interval = metrics.percentile_intervals({"accuracy": accuracies}, scoring.run.n_questions)["accuracy"]
    accuracy = diagnostics.mean(cell.is_correct[scored])
    confidences, arms = {}, {}
    for name in CONFIDENCE_NAMES:
        confidences[name], resampled = _confidence_summary(name, cell, scoring)
        values = {metric: confidences[name][metric] for metric in METRIC_NAMES if metric != "accuracy"}
        values |= {utility_name(row["wrong_answer_cost"]): row["utility"] for row in confidences[name]["utilities"]}
        arms[name] = Arm(cell, values | {"accuracy": accuracy}, resampled | {"accuracy": accuracies}, name)
    headline, answered = cell.confidence(scoring.headline), cell.is_answered
    fields = {
        **{name: getattr(cell, name) for name in CELL_NAMES},
        "n_questions": len(np.unique(cell.question)),
        "n_records": len(cell),
        "n_errors": int(cell.is_error.sum()),
        "accuracy": accuracy,
        "accuracy_interval": accuracy_interval,
        "answer_consistency": diagnostics.answer_consistency(cell),
        "confidences": confidences,
        "risk_coverage": metrics.risk_coverage_curve(headline[answered], cell.is_correct[answered]),
        "readout_masses": diagnostics.readout_masses(cell),
        "accuracy_by_stop": diagnostics.accuracy_by_stop(cell),
        "position_bias": diagnostics.position_bias(cell),
        "per_permutation": _per_group(
            "permutation", cell.permutation, np.unique(cell.permutation).tolist(), cell, headline
        ),
        "per_category": _per_group("category", cell.category, scoring.run.categories, cell, headline),
        "budget_audit": {stage: diagnostics.budget_audit(cell, stage) for stage in STAGES},
        "tokens": {stage: diagnostics.token_sums(cell, stage) for stage in STAGES},
    }
    return in_order(CELL_FIELDS, fields), arms


def _confidence_summary(name: str, cell: CellColumns, scoring: _Scoring) -> tuple[dict, dict[str, np.ndarray]]:
    """Calibration over the records that have the confidence; ranking over all with an answer, missing ones last.

    Returns the summary and the resampled metrics.
    """
    confidence, answered, target_error = cell.confidence(name), cell.is_answered, scoring.target_error
    has = answered & ~np.isnan(confidence)
    given, outcome = confidence[has], cell.is_correct[has]
    ranked = confidence[answered], cell.is_correct[answered]
    first_order = answered & (cell.permutation == 0)
    observed = metrics.observed_metrics(*ranked, target_error)
    resampled = metrics.resampled_metrics(*ranked, cell.question[answered], scoring.weights, target_error)
    utilities, resampled_utilities = _utilities(*ranked, cell.question[answered], scoring)
    intervals = metrics.percentile_intervals(resampled, scoring.run.n_questions)
    with_interval = [one.name for one in CONFIDENCE_FIELDS if one.name in metrics.METRICS]
    n_distinct, largest_tie_share = diagnostics.ties(given)
    fields = {
        "n": int(has.sum()),
        "n_missing": len(cell) - int(has.sum()),
        "n_distinct": n_distinct,
        "largest_tie_share": largest_tie_share,
        "readout_mass": diagnostics.mean(cell.numbers[MASS_OF[name]]),
        "mean_confidence": diagnostics.mean(given),
        "ece": metrics.expected_calibration_error(given, outcome),
        "ece_if_calibrated": metrics.ece_if_calibrated(given, np.random.default_rng(scoring.seed)),
        "recalibrated": recalibrated(given, outcome, cell.question[has], np.random.default_rng(scoring.seed)),
        **metrics.brier_parts(given, outcome),
        **{metric: observed[metric] for metric in with_interval},
        **{f"{metric}_interval": intervals[metric] for metric in with_interval},
        "utilities": utilities,
        "permutation_spread": diagnostics.permutation_spread(cell, confidence),
        "bins": metrics.reliability_bins(given, outcome),
        "guaranteed_thresholds": [
            guaranteed_threshold(confidence[first_order], cell.is_correct[first_order], target)
            for target in target_errors(target_error)
        ],
    }
    return in_order(CONFIDENCE_FIELDS, fields), resampled | resampled_utilities


def _utilities(confidence, is_correct, question, scoring) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Per cost of a wrong answer the expected utility with its interval, and its values on the resamples by name."""
    costs = scoring.wrong_answer_costs
    values = resampled_utilities(confidence, is_correct, question, scoring.weights, costs)
    resampled = {utility_name(cost): row for cost, row in zip(costs, values, strict=True)}
    intervals = metrics.percentile_intervals(resampled, scoring.run.n_questions)
    rows = [
        {
            "wrong_answer_cost": cost,
            "break_even": break_even(cost),
            "share_given": share_given(confidence, cost),
            "utility": expected_utility(confidence, is_correct, cost),
            "utility_interval": intervals[utility_name(cost)],
        }
        for cost in costs
    ]
    return rows, resampled


def _per_group(name, group_of_record, groups, cell, confidence):
    """Records without error, accuracy and ECE per permutation or per category of the cell, in sorted order."""
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
