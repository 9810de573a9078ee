from read_figures import boxes, line, verbalised
from synthetic_summary import make_summary

from report.figures.reliability import draw_reliability


def test_every_cell_with_its_bins_and_counts(drawn, summary):
    shown = [panel for panel in drawn(draw_reliability).axes if panel.axison]
    assert len(shown) == len(summary["cells"]) == 16
    for panel, cell in zip(shown, summary["cells"], strict=True):
        filled = [row for row in verbalised(cell)["bins"] if row["count"]]
        assert len(filled) == 9
        points = line(panel, "accuracy")
        assert list(points.get_xdata()) == [row["mean_confidence"] for row in filled]
        assert list(points.get_ydata()) == [row["accuracy"] for row in filled]
        assert [round(bar.get_height() * 500) for bar in boxes(panel)] == [row["count"] for row in filled]
        assert "n = 500" in panel.get_title()
    assert shown[0].get_title().startswith("no thinking")
    assert shown[7].get_title().startswith("ratio 0.25") and shown[6].get_ylabel().startswith("budget 200")


def test_a_cell_without_any_confidence_is_empty():
    summary = make_summary(budgets=(200,))
    cell = summary["cells"][3]
    verbalised(cell)["n"] = 0
    for row in verbalised(cell)["bins"]:
        row.update(count=0, mean_confidence=None, accuracy=None)
    panel = [panel for panel in draw_reliability(summary).axes if panel.axison][3]
    assert not boxes(panel) and len(line(panel, "accuracy").get_xdata()) == 0
    assert "n = 0" in panel.get_title()
