from read_figures import boxes, line, verbalised
from synthetic_summary import make_summary

from report.figures.reliability import FIGURE, draw_reliability


def diagrams_and_strips(figure):
    shown = [panel for panel in figure.axes if panel.axison]
    return [panel for panel in shown if panel.get_title()], [panel for panel in shown if not panel.get_title()]


def test_every_cell_with_its_bins_and_counts(drawn, summary):
    shown, strips = diagrams_and_strips(drawn(draw_reliability))
    assert len(shown) == len(strips) == len(summary["cells"]) == 16
    for panel, strip, cell in zip(shown, strips, summary["cells"], strict=True):
        filled = [row for row in verbalised(cell)["bins"] if row["count"]]
        assert len(filled) == 9
        points = line(panel, "accuracy")
        assert list(points.get_xdata()) == [row["mean_confidence"] for row in filled]
        assert list(points.get_ydata()) == [row["accuracy"] for row in filled]
        assert [round(bar.get_height() * 500) for bar in boxes(strip)] == [row["count"] for row in filled]
        assert not boxes(panel)
        assert "n = 500" in panel.get_title()
    assert shown[0].get_title().startswith("no thinking")
    assert shown[7].get_title().startswith("ratio 0.25") and shown[6].get_ylabel().startswith("budget 200")


def test_a_cell_without_any_confidence_is_empty():
    summary = make_summary(budgets=(200,))
    cell = summary["cells"][3]
    verbalised(cell)["n"] = 0
    for row in verbalised(cell)["bins"]:
        row.update(count=0, mean_confidence=None, accuracy=None)
    panel, strip = (panels[3] for panels in diagrams_and_strips(draw_reliability(summary)))
    assert not boxes(strip) and len(line(panel, "accuracy").get_xdata()) == 0
    assert "n = 0" in panel.get_title()


def test_a_strip_stands_below_its_diagram_and_is_as_wide(drawn, shape):
    figure = drawn(draw_reliability, shape)
    figure.draw_without_rendering()
    for diagram, strip in zip(*diagrams_and_strips(figure), strict=True):
        above, below = diagram.get_window_extent(), strip.get_window_extent()
        assert below.y1 < above.y0
        assert abs(below.x0 - above.x0) < 1 and abs(below.x1 - above.x1) < 1


def test_single_cells_stand_side_by_side_and_are_named(drawn):
    diagrams, _ = diagrams_and_strips(drawn(draw_reliability, "one ratio"))
    titles = [panel.get_title().partition("\n")[0] for panel in diagrams]
    assert titles == ["no thinking", *(f"budget {budget}, ratio 0.5" for budget in (100, 200, 400))]


def test_no_figure_without_any_confidence():
    summary = make_summary(budgets=(200,))
    assert FIGURE.has_content(summary)
    for cell in summary["cells"]:
        for row in verbalised(cell)["bins"]:
            row["count"] = 0
    assert not FIGURE.has_content(summary)
