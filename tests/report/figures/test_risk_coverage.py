import itertools

import numpy as np
from matplotlib.text import Text
from read_figures import annotations, cells_of, labels, line
from synthetic_summary import make_summary

from report.figures.risk_coverage import FIGURE, draw_risk_coverage


def test_curves_and_target(summary):
    summary["target_error"] = 0.125
    panels = draw_risk_coverage(summary).axes
    assert [panel.get_title() for panel in panels] == ["budget 100", "budget 200", "budget 400"]
    for panel, budget in zip(panels, (100, 200, 400), strict=True):
        shown = {f"ratio {cell['answer_thinking_ratio']:g}": cell for cell in cells_of(summary, budget)}
        shown["no thinking"] = cells_of(summary, 0)[0]
        assert set(labels(panel)) == {*shown, "target error"}
        for label, cell in shown.items():
            drawn, curve = line(panel, label), cell["risk_coverage"]
            assert list(drawn.get_xdata()) == curve["coverage"]
            assert np.isnan(drawn.get_ydata()[0]) and list(drawn.get_ydata()[1:]) == curve["selective_risk"][1:]
            assert drawn.get_markevery() == [1, 50]
            assert drawn.get_drawstyle() == "steps-post"
        assert set(line(panel, "target error").get_ydata()) == {0.125}


def test_curves_of_no_points_and_of_one(summary):
    cells = cells_of(summary, 200)
    cells[0]["risk_coverage"] = {"threshold": [], "coverage": [], "selective_risk": []}
    cells[1]["risk_coverage"] = {"threshold": [0.7], "coverage": [1.0], "selective_risk": [0.4]}
    panel = draw_risk_coverage(summary).axes[1]
    assert len(line(panel, "ratio 0").get_xdata()) == 0
    assert line(panel, "ratio 0.25").get_markevery() == [0]


def test_eleven_ratios_have_looks_and_labels_of_their_own(drawn):
    figure = drawn(draw_risk_coverage, "33 cells of 26 options")
    figure.draw_without_rendering()
    for panel in figure.axes:
        curves = [drawn for drawn in panel.get_lines() if drawn.get_label().startswith("ratio")]
        looks = {(drawn.get_color(), drawn.get_marker(), str(drawn._dash_pattern)) for drawn in curves}
        assert len(looks) == len(curves) == 11
        found = sorted(annotations(panel), key=lambda label: Text.get_window_extent(label).y0)
        # ratio 1 errs least, and stands lowest
        assert [label.get_text() for label in found] == [f"{step / 10:g}" for step in range(10, -1, -1)]
        boxes = [Text.get_window_extent(label) for label in found]  # without the line that leads there
        assert all(lower.y1 <= upper.y0 + 1 for lower, upper in itertools.pairwise(boxes))
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_one_threshold_is_no_curve():
    summary = make_summary(budgets=())
    assert FIGURE.has_content(summary)
    summary["cells"][0]["risk_coverage"] = {"threshold": [0.7], "coverage": [1.0], "selective_risk": [0.4]}
    assert not FIGURE.has_content(summary)
