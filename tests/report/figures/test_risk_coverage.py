import numpy as np
from read_figures import cells_of, labels, line

from report.figures.risk_coverage import draw_risk_coverage


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
        assert set(line(panel, "target error").get_ydata()) == {0.125}


def test_curves_of_no_points_and_of_one(summary):
    cells = cells_of(summary, 200)
    cells[0]["risk_coverage"] = {"threshold": [], "coverage": [], "selective_risk": []}
    cells[1]["risk_coverage"] = {"threshold": [0.7], "coverage": [1.0], "selective_risk": [0.4]}
    panel = draw_risk_coverage(summary).axes[1]
    assert len(line(panel, "ratio 0").get_xdata()) == 0
    assert line(panel, "ratio 0.25").get_markevery() == [0]
