import numpy as np
import pytest
from read_figures import annotations, bars, cells_of, interval_of, line

from report.figures.cost_frontier import draw_cost_frontier, pareto_frontier


def test_points_are_tokens_of_both_stages_and_accuracy(drawn, summary):
    panel = drawn(draw_cost_frontier).axes[0]
    for budget in (100, 200, 400):
        of_budget = line(panel, f"budget {budget}")
        cells = cells_of(summary, budget)
        tokens = [0.8 * cell["answer_budget"] + 0.6 * cell["confidence_budget"] for cell in cells]
        assert list(of_budget.get_xdata()) == pytest.approx(tokens)
        assert list(of_budget.get_ydata()) == [cell["accuracy"] for cell in cells]
    assert list(line(panel, "no thinking").get_xdata()) == [0]
    ordered = [cell for budget in (100, 200, 400, 0) for cell in cells_of(summary, budget)]
    assert [bar[1:] for bar in bars(panel)] == [interval_of(cell, "accuracy") for cell in ordered]
    assert [label.get_text() for label in annotations(panel)] == ["0", "0.25", "0.5", "0.75", "1"] * 3


def test_a_cell_without_accuracy_or_tokens_has_no_point_and_no_label(summary):
    cells = cells_of(summary, 200)
    cells[0].update(accuracy=None, accuracy_interval=None)
    cells[1]["budget_audit"]["confidence"]["mean_thinking_tokens"] = None
    panel = draw_cost_frontier(summary).axes[0]
    drawn = line(panel, "budget 200")
    assert np.isnan(drawn.get_ydata()[0]) and np.isnan(drawn.get_xdata()[1])
    assert len(annotations(panel)) == 13


def cost_cell(tokens, accuracy):
    audit = {"answer": {"mean_thinking_tokens": tokens}, "confidence": {"mean_thinking_tokens": 0.0}}
    return {"accuracy": accuracy, "budget_audit": audit}


def test_pareto_frontier_by_hand():
    kept = [cost_cell(0, 0.2), cost_cell(50, 0.4), cost_cell(90, 0.7)]
    dominated = [cost_cell(60, 0.4), cost_cell(50, 0.3), cost_cell(80, 0.35), cost_cell(95, 0.7), cost_cell(10, None)]
    assert pareto_frontier([*dominated, *reversed(kept)]) == kept


def test_frontier_is_drawn_through_its_cells(drawn, summary):
    frontier = line(drawn(draw_cost_frontier).axes[0], "Pareto frontier")
    assert list(frontier.get_ydata()) == [cell["accuracy"] for cell in pareto_frontier(summary["cells"])]
    assert frontier.get_drawstyle() == "steps-post"


def test_no_ratio_label_covers_another(drawn, shape):
    panel = drawn(draw_cost_frontier, shape).axes[0]
    found = [label.get_window_extent() for label in annotations(panel)]
    for index, first in enumerate(found):
        assert not [second for second in found[index + 1:] if first.overlaps(second)]
