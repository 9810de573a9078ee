"""The answer of `--cascade` as one JSON object: certificates on all questions, and what the halves say of costs."""
import numpy as np

from cascade.certificate import ERROR_LEVEL, READINGS, Certified
from cascade.costs import TierCost
from cascade.judgement import Judged, baselines, cost_differences, halves, judge_cells, most_accurate_cell
from cascade.run_answers import RunAnswers
from cascade.search import Candidate, Cascade, candidates, cheapest, search
from cascade.tiers import fixed_cell, make_tier
from cascade.words import reading_answer, run_names
from runs.finished_runs import common_questions


def analyse(runs: list[RunAnswers], costs: list[TierCost], expert_cost: float, target_error: float, seed: int) -> dict:
    """The content of `cascade.json`. runs: from cheap to dear; costs: one per run; target_error: in (0, 1).

    Raises UserError if the runs cannot be the tiers of a cascade.
    """
    contents = [dict(zip(run.question_ids, run.contents, strict=True)) for run in runs]
    common = common_questions("--cascade", [run.folder.name for run in runs], contents)
    cells = [fixed_cell(run) for run in runs[:-1]]
    cascade = Cascade(
        early=[
            make_tier(run, cell, questions, cost)
            for run, cell, questions, cost in zip(runs[:-1], cells, common.indices, costs, strict=False)
        ],
        last=[make_tier(runs[-1], cell, common.indices[-1], costs[-1]) for cell in range(len(runs[-1].cells))],
        expert_cost=expert_cost,
    )
    result = {
        "target_error": target_error,
        "error_level": ERROR_LEVEL,
        "seed": seed,
        "costs": {"runs": [cost.text for cost in costs], "expert": expert_cost},
        "n_questions": len(common),
        "rules": list(dict.fromkeys(one.rule for one in candidates(cascade))),
        "runs": [
            {"name": name, **_run_entry(run, cell, left_out)}
            for name, run, cell, left_out in zip(
                run_names(len(runs)), runs, [*cells, None], common.left_out, strict=True
            )
        ],
        "tiers": _tier_entries(runs, cells, cascade),
    }
    first_half, second_half = halves(len(common), seed)
    whole = search(cascade, target_error)
    training = cascade.of(first_half)
    from_half = search(training, target_error)
    held_out = cascade.of(second_half)
    result["readings"] = {}
    for reading in READINGS:
        judged = _judge(from_half[reading], training, held_out, runs, seed)
        entry = {
            "meaning": READINGS[reading],
            **_certificates(whole[reading], cascade, runs),
            "held_out": {"n_thresholds": len(first_half), "n_judged": len(second_half), **judged},
        }
        result["readings"][reading] = entry | {"answer": reading_answer(reading, entry, result)}
    return result


def _run_entry(run: RunAnswers, cell: int | None, left_out: int) -> dict:
    return {
        "folder": run.folder.name,
        "model_name": run.model_name,
        "cell": None if cell is None else _cell_names(run, cell),
        "n_cells": len(run.cells),
        "n_permutations": run.n_permutations,
        "n_records": int(run.confidence.size),
        "n_errors": run.n_errors,
        "n_left_out": left_out,
    }


def _cell_names(run: RunAnswers, cell: int) -> dict:
    total_budget, ratio = run.cells[cell]
    return {"total_budget": total_budget, "answer_thinking_ratio": ratio}


def _tier_entries(runs: list[RunAnswers], cells: list[int], cascade: Cascade) -> list[dict]:
    """Every tier by itself over the common questions; in `accuracy` a question without an answer counts as wrong."""
    places = [*enumerate(cells), *((len(cells), cell) for cell in range(len(cascade.last)))]
    return [
        {
            "run": number,
            **_cell_names(runs[number], cell),
            "accuracy": float(tier.is_correct.mean()),
            "n_without_confidence": int(np.isnan(tier.confidence).sum()),
            "n_without_uncertainty": int(np.isnan(tier.uncertainty).sum()),
            "cost": {rule: float(values.mean()) for rule, values in tier.cost.items()},
        }
        for (number, cell), tier in zip(places, [*cascade.early, *cascade.last], strict=True)
    ]


def _certificates(certified: dict[Candidate, Certified | None], cascade: Cascade, runs: list[RunAnswers]) -> dict:
    best = cheapest(certified, cascade.expert_cost)
    entries = [
        _names_of_cell(candidate.cell, runs)
        | {"runs": list(candidate.runs), "rule": candidate.rule}
        | _certified_fields(found)
        for candidate, found in certified.items()
    ]
    return {"cheapest": None if best is None else list(certified).index(best), "certificates": entries}


def _names_of_cell(cell: int | None, runs: list[RunAnswers]) -> dict:
    """The cell of the last run; nulls where a deployment does not use it."""
    return {"total_budget": None, "answer_thinking_ratio": None} if cell is None else _cell_names(runs[-1], cell)


def _threshold_fields(found: Certified | None) -> dict:
    spread = found.thresholds.uncertainty if found else None
    return {
        "confidence_thresholds": list(found.thresholds.confidence) if found else None,
        "uncertainty_thresholds": None if spread is None else list(spread),
    }


def _certified_fields(found: Certified | None) -> dict:
    """All null where nothing is certified."""
    names = ("n", "n_automated", "n_wrong", "cost", "p_value", "level")
    return _threshold_fields(found) | {name: getattr(found, name) if found else None for name in names}


def _judge(certified: dict, training: Cascade, held_out: Cascade, runs: list[RunAnswers], seed: int) -> dict:
    """What is compared was picked on the first half, and is judged on the second.

    `chosen` is the cheapest by the first half, an index of `deployments`; None if nothing is certified there. Baselines
    that need a cell take that of the chosen one, or the most accurate of the first half. Differences are in cost, the
    chosen minus another, an index too.
    """
    best = cheapest(certified, held_out.expert_cost)
    cell = best.cell if best is not None and best.cell is not None else most_accurate_cell(training)
    deployments = [*judge_cells(held_out, certified), *baselines(held_out, cell)]
    chosen = next((place for place, one in enumerate(deployments) if best and one.candidate == best), None)
    differences = []
    if chosen is not None:
        places = [place for place in range(len(deployments)) if place != chosen]
        rows = cost_differences(deployments[chosen], [deployments[place] for place in places], seed)
        differences = [{"against": place, **row} for place, row in zip(places, rows, strict=True)]
    entries = [_deployment_entry(one, certified, runs) for one in deployments]
    return {"chosen": chosen, "deployments": entries, "cost_differences": differences}


def _deployment_entry(judged: Judged, certified: dict, runs: list[RunAnswers]) -> dict:
    found = certified[judged.candidate] if judged.candidate else None
    return {
        "name": judged.name,
        "is_baseline": judged.is_baseline,
        **_names_of_cell(judged.cell, runs),
        "runs": list(judged.runs),
        "rule": judged.candidate.rule if judged.candidate else None,
        **_threshold_fields(found),
        **judged.entry(len(runs)),
    }
