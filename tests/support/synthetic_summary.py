"""A summary.json made up for the figures: every field that they read, with values that differ from cell to cell."""
from runs.budgets import make_cells


def make_summary(budgets=(100, 200, 400), ratios=(0, 0.25, 0.5, 0.75, 1), conventional=True, letters="ABCD"):
    """conventional: also a cell without thinking. letters: of the options."""
    cells = make_cells([0] * conventional + list(budgets), list(ratios))
    return {
        "target_error": 0.05,
        "headline_confidence": "confidence",
        "cells": [_cell(cell, index, letters) for index, cell in enumerate(cells)],
        "saturation": {
            "answer": [{"cap": cap, "share_natural": cap / 500} for cap in range(1, 401, 4)] if budgets else [],
            "confidence": [{"cap": cap, "share_natural": 1 - 30 / (30 + cap)} for cap in range(1, 401, 4)],
        },
        "run": {"is_demo": False},
    }


def _interval(value, width=0.04):
    return {"low": value - width, "high": value + width}


def _cell(cell, index, letters):
    ratio = cell.answer_thinking_ratio or 0.0
    accuracy = 0.3 + cell.total_budget / 1000 + 0.2 * ratio
    aurc = 0.5 - cell.total_budget / 1000 + (ratio - 0.6) ** 2 / 4
    coverage = 0.4 - (ratio - 0.5) ** 2 + cell.total_budget / 2000
    verbalised = {
        "n": 500, "ece": 0.05 + index / 500,
        "ece_if_calibrated": {"mean": 0.04, "low": 0.02 + ratio / 50, "high": 0.06},
        "aurc": aurc, "aurc_interval": _interval(aurc),
        "coverage_at_target": coverage, "coverage_at_target_lower_bound": coverage - 0.04,
        "bins": [_bin(number, index) for number in range(10)],
    }  # fmt: skip
    n = len(letters)
    thresholds = [1 - step / 50 for step in range(51)]
    return {
        "total_budget": cell.total_budget, "answer_thinking_ratio": cell.answer_thinking_ratio,
        "answer_budget": cell.answer_budget, "confidence_budget": cell.confidence_budget,
        "n_questions": 100, "n_records": 500, "n_errors": 0,
        "accuracy": accuracy, "accuracy_interval": _interval(accuracy),
        "confidences": {"confidence": verbalised},
        "budget_audit": {
            "answer": {"mean_thinking_tokens": 0.8 * cell.answer_budget},
            "confidence": {"mean_thinking_tokens": 0.6 * cell.confidence_budget},
        },
        "risk_coverage": {
            "threshold": thresholds,
            "coverage": [(1 - threshold) ** 0.5 for threshold in thresholds],
            "selective_risk": [None, *((1 - accuracy) * (1 - threshold) for threshold in thresholds[1:])],
        },
        "per_permutation": [{"permutation": number} for number in range(5)],
        "position_bias": [
            {"letter": letter, "share_chosen": place * 2 / n / (n + 1), "share_correct": 1 / n}
            for place, letter in enumerate(letters, 1)
        ],
    }  # fmt: skip


def _bin(number, index):
    """Bin 3 is empty; the counts add up to 500."""
    counts = (20, 30, 40, 0, 50, 60, 70, 80, 90, 60)
    middle = (number + 0.5) / 10
    known = counts[number] > 0
    return {
        "lower": number / 10, "upper": (number + 1) / 10, "count": counts[number],
        "mean_confidence": middle if known else None, "accuracy": middle * (1 - index / 100) if known else None,
    }  # fmt: skip
