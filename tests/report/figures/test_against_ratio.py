"""Accuracy, AURC, coverage and ECE against the ratio, and the ideal reasoner of the demo."""
import numpy as np
import pytest
from read_figures import (
    bands,
    bars,
    boxes,
    cells_of,
    edges_at,
    interval_of,
    labels,
    legend_texts,
    line,
    value_of,
    verbalised,
)
from synthetic_summary import make_summary

from report.figures.against_ratio import draw_against_ratio, ideal_values
from report.figures.parts import COLOURS

METRICS = ("accuracy", "aurc", "coverage_at_target", "ece")


@pytest.mark.parametrize(("panel_number", "metric"), list(enumerate(METRICS)))
def test_lines_are_the_values_of_the_cells(drawn, summary, panel_number, metric):
    panel = drawn(draw_against_ratio).axes[panel_number]
    for budget in (100, 200, 400):
        of_budget = line(panel, f"budget {budget}")
        assert list(of_budget.get_xdata()) == [0, 0.25, 0.5, 0.75, 1]
        assert list(of_budget.get_ydata()) == [value_of(cell, metric) for cell in cells_of(summary, budget)]
    (conventional,) = cells_of(summary, 0)
    assert set(line(panel, "no thinking").get_ydata()) == {value_of(conventional, metric)}


@pytest.mark.parametrize(("panel_number", "metric"), list(enumerate(METRICS[:3])))
def test_bands_are_the_intervals(drawn, summary, panel_number, metric):
    panel = drawn(draw_against_ratio).axes[panel_number]
    assert len(bands(panel)) == 3
    for band, budget in zip(bands(panel), (100, 200, 400), strict=True):
        for cell in cells_of(summary, budget):
            assert edges_at(band, cell["answer_thinking_ratio"]) == interval_of(cell, metric)
    (span,) = boxes(panel)
    assert (span.get_y(), span.get_y() + span.get_height()) == pytest.approx(
        interval_of(cells_of(summary, 0)[0], metric)
    )


def test_ece_shows_the_calibrated_range_and_no_band(drawn, summary):
    panel = drawn(draw_against_ratio).axes[3]
    ordered = [cell for budget in (100, 200, 400, 0) for cell in cells_of(summary, budget)]
    expected = [verbalised(cell)["ece_if_calibrated"] for cell in ordered]
    assert [bar[1:] for bar in bars(panel)] == [(found["low"], found["high"]) for found in expected]
    assert not boxes(panel)
    assert not bands(panel)
    assert panel.get_ylim()[0] == 0


def test_a_missing_value_leaves_a_gap_and_a_missing_interval_no_band(summary):
    cells = cells_of(summary, 200)
    verbalised(cells[2]).update(aurc=None, aurc_interval=None)
    verbalised(cells[3])["coverage_at_target_lower_bound"] = None
    panels = draw_against_ratio(summary).axes
    drawn = line(panels[1], "budget 200").get_ydata()
    assert np.isnan(drawn[2]) and not np.isnan(drawn[[0, 1, 3, 4]]).any()
    aurc, coverage = (bands(panels[number])[1] for number in (1, 2))
    assert {place for path in aurc.get_paths() for place, _ in path.vertices} == {0, 0.25, 0.75, 1}
    assert {place for path in coverage.get_paths() for place, _ in path.vertices} == {0, 0.25, 0.5}
    # the point at ratio 1 has no neighbour with an interval, so its own is a bar
    assert bars(panels[2]) == [(1, *interval_of(cells[4], "coverage_at_target"))]
    assert not np.isnan(line(panels[2], "budget 200").get_ydata()).any()


def test_a_metric_that_no_cell_has_is_an_empty_panel(summary):
    for cell in summary["cells"]:
        verbalised(cell).update(aurc=None, aurc_interval=None)
        verbalised(cell).update(ece=None, ece_if_calibrated={"mean": None, "low": None, "high": None})
    panels = draw_against_ratio(summary).axes
    for panel in (panels[1], panels[3]):
        assert all(np.isnan(np.asarray(drawn.get_ydata(), dtype=float)).all() for drawn in panel.get_lines())
        assert not boxes(panel) and not bars(panel)


def test_budgets_differ_in_colour_marker_and_dash():
    summary = make_summary(budgets=range(50, 350, 50))
    lines = [drawn for drawn in draw_against_ratio(summary).axes[0].get_lines() if drawn.get_label() != "no thinking"]
    assert len({drawn.get_color() for drawn in lines}) == len(lines) == len(COLOURS)
    assert len({drawn.get_marker() for drawn in lines}) == len(lines)
    assert len({str(drawn._dash_pattern) for drawn in lines}) == len(lines)


# --- the ideal reasoner of the demo -------------------------------------------------------------------------------

def test_values_of_the_ideal_reasoner(summary):
    """The numbers of the demo's own table, rounded there to three digits."""
    ideal = ideal_values(summary)
    assert list(ideal) == [100, 200, 400]
    assert ideal[200]["accuracy"] == pytest.approx([0.250, 0.362, 0.487, 0.613, 0.738], abs=6e-4)
    assert ideal[200]["aurc"] == pytest.approx([0.443, 0.329, 0.239, 0.258, 0.262], abs=6e-4)
    assert ideal[200]["coverage_at_target"] == pytest.approx([0.174, 0.250, 0.339, 0.168, 0.000], abs=6e-4)
    assert ideal_values(summary | {"target_error": 0.3})[200]["coverage_at_target"][4] > 0.9


def test_the_demo_shows_the_ideal_reasoner_behind_the_others(drawn, summary):
    ideal = ideal_values(summary)
    summary["run"]["is_demo"] = True
    figure = draw_against_ratio(summary)
    for panel, metric in zip(figure.axes, METRICS, strict=True):
        thin = [label for label in labels(panel) if label.startswith("ideal")]
        assert thin == ([] if metric == "ece" else ["ideal 100", "ideal 200", "ideal 400"])
        for budget in (100, 200, 400) if thin else ():
            assert list(line(panel, f"ideal {budget}").get_ydata()) == ideal[budget][metric]
            assert line(panel, f"ideal {budget}").get_zorder() < line(panel, f"budget {budget}").get_zorder()
    assert "ideal reasoner" in legend_texts(figure)


def test_no_other_run_shows_the_ideal_reasoner(drawn):
    figure = drawn(draw_against_ratio)
    assert not [label for panel in figure.axes for label in labels(panel) if label.startswith("ideal")]
    assert "ideal reasoner" not in legend_texts(figure)
