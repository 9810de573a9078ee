from read_figures import boxes, cells_of, line, verbalised

from report.figures.position_bias import draw_position_bias


def test_the_conventional_arm_and_the_best_cell_of_each_budget(summary):
    best = cells_of(summary, 400)[4]
    verbalised(best)["aurc"] = 0.01
    for cell in cells_of(summary, 100):
        verbalised(cell)["aurc"] = None
    for row in best["position_bias"]:
        row["share_chosen"] += 0.01
    panels = draw_position_bias(summary).axes
    titles = [panel.get_title().split("\n")[0] for panel in panels]
    assert titles == ["no thinking", "budget 200, ratio 0.5", "budget 400, ratio 1"]
    assert [bar.get_height() for bar in boxes(panels[2])] == [row["share_chosen"] for row in best["position_bias"]]
    assert list(line(panels[2], "correct").get_ydata()) == [row["share_correct"] for row in best["position_bias"]]
    assert [label.get_text() for label in panels[2].get_xticklabels()] == list("ABCD")


def test_records_with_an_error_do_not_count(summary):
    summary["cells"][0]["n_errors"] = 7
    assert "n = 493" in draw_position_bias(summary).axes[0].get_title()
