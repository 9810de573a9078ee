"""Prompts beside their read-outs, scoring, metrics and JSON. Needs no model and no GPU."""
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from itertools import combinations
from string import ascii_uppercase

import numpy as np

import metrics
from model_interface import Reading, Readout

CONFIDENCE_NAMES = ("confidence", "confidence_expectation", "p_true", "answer_probability")
STAGES = ("answer", "confidence")

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
    """All texts that the program puts around a question, as they look on an example; part of the run name."""
    example = ("<question>", ("<option>", "<option>"))
    return {
        "answer_prompt": answer_prompt(*example),
        "answer_readout": asdict(answer_readout(2)),
        "confidence_prompt": confidence_prompt(*example, 0),
        "confidence_readout": CONFIDENCE_READOUT.prefix,
        "p_true_readout": asdict(P_TRUE_READOUT),
    }


# --- scoring -----------------------------------------------------------------------------------------------------


def chosen_option(answer: Reading) -> int | None:
    """Index of the likeliest option as shown; None if the read-out could not be had."""
    result = answer.readouts["answer"]
    return None if result is None else int(np.argmax(result.probabilities))


def make_record(unit, cell, answer: Reading, judged: Reading | None) -> dict:
    """One line of `records.jsonl`: a unit in a cell, all its fields (README, "Records"). judged: None if no answer."""
    predicted_option = chosen_option(answer)
    answer_result = answer.readouts["answer"]
    confidence = judged.readouts["confidence"] if judged else None
    p_true = judged.readouts["p_true"] if judged else None
    errors = [
        f"{stage} stage: {reading.error}"
        for stage, reading in (("answer", answer), ("confidence", judged))
        if reading and reading.error
    ]
    record = {
        "question_id": unit.question_id,
        "category": unit.category,
        "permutation": unit.permutation,
        "total_budget": cell.total_budget,
        "answer_thinking_ratio": cell.answer_thinking_ratio,
        "answer_budget": cell.answer_budget,
        "confidence_budget": cell.confidence_budget,
        "question": unit.question,
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
    return check_caps(record)


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
    names = ("thinking", "thinking_ids", "thinking_tokens", "stopped")
    names += ("prompt_tokens", "injected_tokens", "readout_tokens")
    return {f"{stage}_{name}": None if reading is None else getattr(reading, name) for name in names}


# --- summary -----------------------------------------------------------------------------------------------------


def summarise(records: Iterable[dict], target_error: float, seed: int) -> dict:
    """Every metric of every cell, and the audit of the caps; a function of the records and nothing else.

    records: as read from `records.jsonl`, in any order. target_error: in (0, 1). seed: of the resamples behind the
    intervals, which are the same for every cell with the same questions. The fields are explained in README.
    """
    by_cell = defaultdict(_CellColumns)
    for record in records:
        key = (record["total_budget"], record["answer_thinking_ratio"])
        by_cell[key].add(record)
    cells = [by_cell[key] for key in sorted(by_cell, key=lambda key: (key[0], key[1] or 0.0))]
    for cell in cells:
        cell.sort()
    audits = [cell.audit(stage) for cell in cells for stage in STAGES]
    return {
        "n_records": sum(len(cell) for cell in cells),
        "n_errors": sum(sum(cell.is_error) for cell in cells),
        "largest_overshoot": max((audit["largest_overshoot"] for audit in audits), default=0),
        "target_error": target_error,
        "cells": [cell.summary(target_error, seed) for cell in cells],
    }


class _CellColumns:
    """The scored fields of one cell's records, without texts and thoughts; one list entry per record."""

    def __init__(self):
        self.cell = {}
        self.question_ids, self.permutations, self.categories, self.is_error, self.is_correct = [], [], [], [], []
        self.chosen_originals = []  # predicted option as index into the original options
        self.confidences = {name: [] for name in CONFIDENCE_NAMES}
        self.masses = {f"{name}_readout_mass": [] for name in ("answer", "confidence", "p_true")}
        self.tokens = {
            f"{stage}_{name}": []
            for stage in STAGES
            for name in ("thinking_tokens", "prompt_tokens", "injected_tokens", "readout_tokens", "stopped")
        }

    def __len__(self):
        return len(self.question_ids)

    def add(self, record: dict) -> None:
        names = ("total_budget", "answer_thinking_ratio", "answer_budget", "confidence_budget")
        self.cell = {name: record[name] for name in names}
        self.question_ids.append(record["question_id"])
        self.permutations.append(record["permutation"])
        self.categories.append(record["category"])
        self.is_error.append(record["error"] is not None)
        self.is_correct.append(record["is_correct"])
        predicted = record["predicted_option"]
        self.chosen_originals.append(None if predicted is None else record["option_order"][predicted])
        for columns in (self.confidences, self.masses, self.tokens):
            for name, column in columns.items():
                column.append(record[name])

    def sort(self) -> None:
        """Brings the records into one order, so that what is drawn at random does not depend on that of the file."""
        order = sorted(range(len(self)), key=lambda index: (self.question_ids[index], self.permutations[index]))
        columns = [self.question_ids, self.permutations, self.categories, self.is_error, self.is_correct]
        columns += [self.chosen_originals, *self.confidences.values(), *self.masses.values(), *self.tokens.values()]
        for column in columns:
            column[:] = [column[index] for index in order]

    def summary(self, target_error: float, seed: int) -> dict:
        """The cell's entry in `summary.json`."""
        scored = ~np.array(self.is_error)
        correct = np.array([value is True for value in self.is_correct])
        question_index = np.unique(self.question_ids, return_inverse=True)[1]
        verbalised = self._confidence_array("confidence")
        parts = (correct, scored, verbalised)
        return {
            **self.cell,
            "n_questions": int(question_index.max()) + 1,
            "n_records": len(self),
            "n_errors": int((~scored).sum()),
            "accuracy": metrics.accuracy(correct[scored]),
            "accuracy_interval": metrics.bootstrap_intervals(
                np.full(int(scored.sum()), np.nan), correct[scored], question_index[scored], target_error,
                np.random.default_rng(seed),
            )["accuracy"],
            "answer_consistency": self._answer_consistency(),
            "confidences": {
                name: self._confidence_summary(name, correct, question_index, target_error, seed)
                for name in CONFIDENCE_NAMES
            },
            "readout_masses": {name: _mean(column) for name, column in self.masses.items()},
            "per_permutation": _per_group("permutation", self.permutations, *parts),
            "per_category": _per_group("category", self.categories, *parts),
            "budget_audit": {stage: self.audit(stage) for stage in STAGES},
            "tokens": {stage: self._token_sums(stage) for stage in STAGES},
        }

    def audit(self, stage: str) -> dict:
        """How the stage kept its cap: records that ran it, largest overshoot, share capped, tokens used."""
        cap = self.cell[f"{stage}_budget"]
        used = [tokens for tokens in self.tokens[f"{stage}_thinking_tokens"] if tokens is not None]
        stopped = self.tokens[f"{stage}_stopped"]
        thought = sum(how in ("natural", "capped") for how in stopped)
        return {
            "cap": cap,
            "n_records": len(used),
            "largest_overshoot": max((max(0, tokens - cap) for tokens in used), default=0),
            "share_capped": stopped.count("capped") / thought if thought else None,
            "mean_thinking_tokens": _mean(used),
            "max_thinking_tokens": max(used, default=None),
        }

    def _confidence_array(self, name):
        """(n,) floats, NaN where the record has an error: it is never scored as if nothing had happened."""
        values = [
            np.nan if error or value is None else value
            for value, error in zip(self.confidences[name], self.is_error, strict=True)
        ]
        return np.array(values, dtype=float)

    def _confidence_summary(self, name, correct, question_index, target_error, seed):
        """Calibration over the records that have the confidence; ranking over all with an answer, missing ones last."""
        confidence = self._confidence_array(name)
        answered = np.array([value is not None for value in self.is_correct])
        has = answered & ~np.isnan(confidence)
        given, outcome = confidence[has], correct[has]
        rng = np.random.default_rng(seed)
        intervals = metrics.bootstrap_intervals(
            confidence[answered], correct[answered], question_index[answered], target_error, rng
        )
        decomposition = metrics.brier_decomposition(given, outcome)
        return {
            "n": int(has.sum()),
            "n_missing": len(self) - int(has.sum()),
            "mean_confidence": _mean(given.tolist()),
            "ece": metrics.expected_calibration_error(given, outcome),
            "ece_if_calibrated": metrics.ece_if_calibrated(given, rng),
            **decomposition,
            "brier_interval": intervals["brier"],
            "auroc": metrics.auroc(given, outcome),
            "auroc_interval": intervals["auroc"],
            "aurc": metrics.aurc(confidence[answered], correct[answered]),
            "aurc_interval": intervals["aurc"],
            "coverage_at_target": metrics.coverage_at_target(confidence[answered], correct[answered], target_error),
            "coverage_at_target_interval": intervals["coverage_at_target"],
            "overconfidence": metrics.overconfidence(given, outcome),
            "overconfidence_interval": intervals["overconfidence"],
            "permutation_spread": self._permutation_spread(confidence),
            "bins": metrics.reliability_bins(given, outcome),
        }

    def _answer_consistency(self):
        """Share of a question's pairs of permutations that choose the same option, mean over questions, or None."""
        chosen = defaultdict(list)
        for question_id, option, error in zip(self.question_ids, self.chosen_originals, self.is_error, strict=True):
            if not error:
                chosen[question_id].append(option)
        agreements = [
            _mean([first == second for first, second in combinations(options, 2)])
            for options in chosen.values()
            if len(options) > 1
        ]
        return _mean(agreements)

    def _permutation_spread(self, confidence):
        """Standard deviation of a question's confidences over its permutations, mean over questions; None if none."""
        of_question = defaultdict(list)
        for question_id, value in zip(self.question_ids, confidence, strict=True):
            if not np.isnan(value):
                of_question[question_id].append(value)
        return _mean([float(np.std(values)) for values in of_question.values() if len(values) > 1])

    def _token_sums(self, stage):
        names = ("prompt_tokens", "thinking_tokens", "injected_tokens", "readout_tokens")
        return {name: sum(value or 0 for value in self.tokens[f"{stage}_{name}"]) for name in names}


def _per_group(name, groups, correct, scored, confidence):
    """Number of scored records, accuracy and ECE per permutation or per category, in sorted order."""
    members = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    rows = []
    for group in sorted(members, key=lambda group: (group is None, group)):
        of_group = [index for index in members[group] if scored[index]]
        has = [index for index in of_group if not np.isnan(confidence[index])]
        rows.append(
            {
                name: group,
                "n": len(of_group),
                "accuracy": metrics.accuracy(correct[of_group]),
                "ece": metrics.expected_calibration_error(confidence[has], correct[has]),
            }
        )
    return rows


def _mean(values) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
