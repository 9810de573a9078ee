"""Makes run folders without a model: every field of records.jsonl and summary.json, with made-up values."""
import json
import random
import struct
import zlib

from runs.results_folder import SCHEMA_VERSION
from scoring.comparisons import METRIC_NAMES
from scoring.fields import in_order
from scoring.recalibration import METHODS, SCORES
from scoring.record_schema import CELL_NAMES, CONFIDENCE_NAMES, MASS_NAMES, RECORD_FIELDS, STAGES, TOKEN_NAMES
from scoring.summary_schema import CELL_FIELDS, CONFIDENCE_FIELDS, SOURCES
from scoring.utility import utility_name

STAGE_NUMBERS = ("prompt_tokens", "injected_tokens", "readout_tokens")
TARGETS = (0.05, 0.1, 0.2)
COSTS = (1.0, 9.0)
COMPARED = (*METRIC_NAMES, *map(utility_name, COSTS))
CELLS = ((0, None), (100, 0.0), (100, 0.5), (100, 1.0))


def make_records(n_questions, n_permutations=1, cells=CELLS, thought_tokens=40, change=None):
    """Records in the journal's order. thought_tokens: words in a thought that no cap stops.

    change: called with each record, may alter it.
    """
    records = []
    for question in range(n_questions):
        for permutation in range(n_permutations):
            for cell in cells:
                record = make_record(random.Random(f"{question} {permutation} {cell}"), question, permutation, cell)
                for stage in STAGES:
                    _think(record, stage, question, permutation, thought_tokens)
                if change:
                    change(record)
                records.append(in_order(RECORD_FIELDS, record))
    return records


def make_record(rng, question, permutation, cell):
    total_budget, ratio = cell
    answer_budget = round(total_budget * (ratio or 0))
    predicted, confidence = rng.randrange(4), rng.randrange(101) / 100
    probability = rng.uniform(0.25, 1)
    return {
        "question_id": f"q{question}",
        "category": f"kind {question % 3}",
        "permutation": permutation,
        "thought": 0,
        "total_budget": total_budget,
        "answer_thinking_ratio": ratio,
        "answer_budget": answer_budget,
        "confidence_budget": total_budget - answer_budget,
        "question": f"Which choice fits number {question} of this made-up question set?",
        "options": [f"choice {letter} of {question}" for letter in "abcd"],
        "option_order": [0, 1, 2, 3],
        "correct_option": question % 4,
        "predicted_option": predicted,
        "is_correct": predicted == question % 4,
        "answer_probabilities": [probability if i == predicted else (1 - probability) / 3 for i in range(4)],
        "answer_probability": probability,
        "answer_readout_mass": 0.99,
        "confidence": confidence,
        "confidence_expectation": confidence,
        "confidence_readout_mass": 0.98,
        "p_true": confidence,
        "p_true_readout_mass": 0.97,
        "error": None,
        **{f"{stage}_{name}": 10 for stage in STAGES for name in STAGE_NUMBERS},
    }


def _think(record, stage, question, permutation, thought_tokens):
    """A thought that begins as the same stage's thought with a larger cap does."""
    rng = random.Random(f"{stage} {question} {permutation} {record['predicted_option'] if stage != 'answer' else ''}")
    cap, length = record[f"{stage}_budget"], rng.randint(1, 2 * thought_tokens)
    used = min(cap, length)
    record[f"{stage}_thinking"] = "".join(f" {rng.choice(('so', 'then', 'maybe', 'wait'))}{i}" for i in range(used))
    record[f"{stage}_thinking_ids"] = list(range(used))
    record[f"{stage}_thinking_tokens"] = used
    record[f"{stage}_stopped"] = "none" if cap == 0 else "capped" if length > cap else "natural"


def make_summary(records, has_values=True):
    """A summary of the right shape. has_values: False makes null of all that may be null."""
    keys = {tuple(record[name] for name in CELL_NAMES) for record in records}
    keys = sorted(keys, key=lambda key: (key[0], key[1] or 0))
    value = 0.25 if has_values else None
    by_budget = sorted({key[0] for key in keys if key[0] > 0})
    ratios = {budget: sorted(key[1] for key in keys if key[0] == budget) for budget in by_budget}
    tokens = {"answer": 1000, "confidence": 2000, "total": 3000}
    summary = {
        "n_records": len(records),
        "n_errors": sum(record["error"] is not None for record in records),
        "largest_overshoot": 0,
        "target_error": 0.05,
        "headline_confidence": "confidence",
        "wrong_answer_costs": list(COSTS),
        "smallest_difference": 0.02,
        "sampled_thinking_tokens": tokens,
        "standalone_thinking_tokens": {stage: 3 * number for stage, number in tokens.items()},
        "saturation": {
            stage: [{"cap": cap, "share_natural": cap / 100} for cap in range(1, 101)] if has_values else []
            for stage in STAGES
        },
        "cells": [_cell(key, len(records) // len(keys), value) for key in keys],
        "comparisons": {
            "claims": "Each budget is a claim of its own." if len(by_budget) > 1 else None,
            "by_budget": [_comparison(budget, ratios[budget], len(records), value) for budget in by_budget],
            "conventional": {
                "total_budget": by_budget[-1],
                "answer_thinking_ratio": ratios[by_budget[-1]][-1],
                "n_records": len(records),
                "n_missing": 0,
                "no_verdict": None if has_values else "made up",
                "differences": {name: _difference(value) for name in COMPARED},
                "warnings": [],
                "answer": "Reasoning beats the conventional arm in this made-up run.",
            } if by_budget and 0 in {key[0] for key in keys} else None,
        },
    }  # fmt: skip
    summary["other_comparisons"] = {
        name: summary["comparisons"] | {"conventional": None} for name in CONFIDENCE_NAMES if name != "confidence"
    }
    return json.loads(json.dumps(summary | {"run": make_config(has_values)}))


def _interval(value):
    return None if value is None else {"low": value - 0.1, "high": value + 0.1}


def _difference(value):
    return {"difference": value, "interval": _interval(value), "questions_needed": value and 1234}


def _comparison(budget, ratios, n_records, value):
    pairs = [(one, other) for place, one in enumerate(ratios) for other in ratios[place + 1 :]]
    return {
        "total_budget": budget,
        "ratios": ratios,
        "n_records": n_records,
        "n_missing": 0,
        "no_verdict": "1% of the records are missing" if value is None else None,
        "best_ratio": dict.fromkeys(COMPARED, value and ratios[0]) | {"accuracy": value and ratios[-1]},
        "unbeaten_ratios": None if value is None else ratios[:2],
        "differences": {
            name: [{"ratio": one, "against_ratio": other, **_difference(value)} for one, other in pairs]
            for name in COMPARED
        },
        "best_sets": {name: value and ratios[:1] for name in COMPARED if name != "coverage_at_target"},
        "equivalent_pairs": [pairs[0]] if value and pairs else [],
        "by_other_confidences": [
            {"confidence": "p_true", "best_ratio": ratios[0], "aurc": value, **_difference(value)}
        ] if value else [],
        "warnings": [],
        "answer": f"Budget {budget}: the made-up answer in words.",
    }  # fmt: skip


def _cell(key, n, value):
    groups = {"n": n if value else 0, "accuracy": value}
    group = groups | {"n_questions": n, "accuracy_interval": _interval(value), "ece": value}
    return in_order(CELL_FIELDS, {
        **dict(zip(CELL_NAMES, key, strict=True)),
        "n_questions": n, "n_records": n, "n_errors": 0,
        "accuracy": value, "accuracy_interval": _interval(value), "answer_consistency": value,
        "thought_consistency": value, "accuracy_variance": _variance(value),
        "confidences": {name: _scores(n, value) for name in CONFIDENCE_NAMES},
        "readout_masses": dict.fromkeys(MASS_NAMES, value),
        "per_permutation": [{"permutation": number, **group} for number in range(2)],
        "per_category": [{"category": name, **group} for name in ("kind 0", None)],
        "budget_audit": {
            stage: {"cap": cap, "n_records": n, "largest_overshoot": 0, "share_capped": value,
                    "mean_thinking_tokens": value, "max_thinking_tokens": None if value is None else cap}
            for stage, cap in zip(STAGES, key[2:], strict=True)
        },
        "tokens": {stage: dict.fromkeys(TOKEN_NAMES, 1234) for stage in STAGES},
        "risk_coverage": {"threshold": [0.9, 0.1], "coverage": [0.5, 1.0], "selective_risk": [0.1, 0.3]},
        "position_bias": [
            {"letter": letter, "share_chosen": value, "share_correct": value, "accuracy_where_correct": value}
            for letter in ("ABCD" if value else "")
        ],
        "accuracy_by_stop": {stage: {"natural": groups, "capped": groups} for stage in STAGES},
    })  # fmt: skip


def _variance(value):
    return dict.fromkeys((*SOURCES, "share_from_questions"), value)


def _scores(n, value):
    """Every metric has the same value; what is no metric stands below."""
    names = [one.name for one in CONFIDENCE_FIELDS]
    scores = {name: _interval(value) if name.endswith("_interval") else value for name in names}
    return scores | {
        "n": n if value else 0,
        "n_missing": 0 if value else n,
        "n_distinct": 7 if value else 0,
        "variance": _variance(value),
        "recalibrated": {method: dict.fromkeys(SCORES, value) for method in METHODS},
        "utilities": [
            {"wrong_answer_cost": cost, "break_even": cost / (1 + cost), "share_given": value, "utility": value,
             "utility_interval": _interval(value)}
            for cost in COSTS
        ],
        "ece_if_calibrated": {"mean": value, "low": value, "high": value},
        "bins": [
            {"lower": 0.2, "upper": 0.3, "count": n, "mean_confidence": value, "accuracy": value}
        ] if value else [],
        "guaranteed_thresholds": [
            {"target_error": target, "threshold": value and 0.83, "coverage": value and 0.41, "n": n,
             "n_used": value and 82, "n_wrong": value and 1}
            for target in TARGETS
        ],
    }  # fmt: skip


def make_config(has_values=True):
    return {
        "is_demo": False,
        "settings": {"TOTAL_BUDGET": [100], "ANSWER_THINKING_RATIO": [0.0, 0.5, 1.0], "model_name": "made/up-4B",
                     "DATASET": "made/questions", "DATASET_CONFIG": "", "SEED": 42},
        "identity": {"schema_version": SCHEMA_VERSION, "prompts": {"answer_prompt": "<question>\nA) <option>"},
                     "model": "abc123", "temperature": 0.6, "seed": 42},
        "questions": {"loaded": 5, "used": 4, "n_skipped": 1, "skipped": [{"row": "7", "reason": "has no key"}],
                      "notes": [{"row": "8", "note": "text differs"}]},
        "processes": [{"command": ["run_experiment.py"], "started": "2026-11-24T10:00:00+00:00",
                       "seconds": 12.5 if has_values else None, "git_commit": "abc" if has_values else None,
                       "versions": {"python": "3.11"}, "device": "a processor", "batch_size": 8}],
    }  # fmt: skip


def png(width=8, height=4):
    """A white PNG file."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(b"".join(b"\0" + b"\xff" * width for _ in range(height)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_run_folder(folder, records, summary=None, figures=("saturation.png",)):
    """A run folder as an experiment leaves it."""
    (folder / "figures").mkdir(parents=True)
    for name in figures:
        (folder / "figures" / name).write_bytes(png())
    with open(folder / "records.jsonl", "w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    (folder / "summary.json").write_text(json.dumps(summary or make_summary(records)), encoding="utf-8")
    return folder
