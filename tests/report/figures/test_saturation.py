from read_figures import labels, line

from report.figures.saturation import FIGURE, draw_saturation


def test_lines_of_both_stages(drawn, summary):
    panel = drawn(draw_saturation).axes[0]
    for stage in ("answer", "confidence"):
        of_stage = line(panel, f"{stage} stage")
        assert list(of_stage.get_xdata()) == [point["cap"] for point in summary["saturation"][stage]]
        assert list(of_stage.get_ydata()) == [point["share_natural"] for point in summary["saturation"][stage]]


def test_stages_that_never_think(summary):
    summary["saturation"]["confidence"] = []
    assert labels(draw_saturation(summary).axes[0]) == ["answer stage"]
    assert FIGURE.has_content(summary)
    summary["saturation"]["answer"] = []
    assert not FIGURE.has_content(summary)


def test_numbers_of_records_are_a_range_where_cells_differ(summary):
    summary["cells"][0]["n_errors"] = 7
    assert "493-500 records per cell" in draw_saturation(summary).get_supxlabel()
