"""The figures: what they show is what the summary says, read back from what was drawn; files and command line."""
import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection, LineCollection
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from synthetic_summary import make_summary

from basics.errors import UserError
from report import figures as plot_results
from report.figures import (
    COLOURS,
    FIGURES,
    demo_ideal,
    draw_against_ratio,
    draw_cost_frontier,
    draw_figures,
    draw_position_bias,
    draw_reliability,
    draw_risk_coverage,
    draw_saturation,
    pareto_frontier,
)

SCRIPT = Path(plot_results.__file__)
METRICS = ("accuracy", "aurc", "coverage_at_target", "ece")
SHAPES = {
    "one cell": {"budgets": (200,), "ratios": (0.5,), "conventional": False},
    "one ratio": {"ratios": (0.5,)},
    "one budget": {"budgets": (200,)},
    "conventional alone": {"budgets": ()},
    "20 cells": {"budgets": (50, 100, 200, 400)},
    "33 cells of 26 options": {"ratios": [step / 10 for step in range(11)], "letters": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
}


@pytest.fixture
def summary():
    return make_summary()


def cells_of(summary, budget):
    return [cell for cell in summary["cells"] if cell["total_budget"] == budget]


def verbalised(cell):
    return cell["confidences"]["confidence"]


def value_of(cell, metric):
    return cell["accuracy"] if metric == "accuracy" else verbalised(cell)[metric]


def interval_of(cell, metric):
    interval = cell["accuracy_interval"] if metric == "accuracy" else verbalised(cell)[f"{metric}_interval"]
    return interval["low"], interval["high"]


def line(panel, label):
    (found,) = [line for line in panel.get_lines() if line.get_label() == label]
    return found


def labels(panel):
    return [line.get_label() for line in panel.get_lines()]


def edges_at(band, x):
    """Lower and upper edge of a filled band above x."""
    at = [y for path in band.get_paths() for place, y in path.vertices if np.isclose(place, x)]
    return min(at), max(at)


def bars(panel):
    """(x, low, high) of every vertical bar, in the order drawn; a bar without ends is no bar."""
    segments = [segment for c in panel.collections if isinstance(c, LineCollection) for segment in c.get_segments()]
    return [(segment[0][0], segment[0][1], segment[1][1]) for segment in segments if len(segment)]


def boxes(panel):
    return [patch for patch in panel.patches if isinstance(patch, Rectangle)]


# --- accuracy, AURC, coverage and ECE against ratio ---------------------------------------------------------------

@pytest.mark.parametrize(("panel_number", "metric"), list(enumerate(METRICS)))
def test_lines_are_the_values_of_the_cells(summary, panel_number, metric):
    panel = draw_against_ratio(summary).axes[panel_number]
    for budget in (100, 200, 400):
        drawn = line(panel, f"budget {budget}")
        assert list(drawn.get_xdata()) == [0, 0.25, 0.5, 0.75, 1]
        assert list(drawn.get_ydata()) == [value_of(cell, metric) for cell in cells_of(summary, budget)]
    (conventional,) = cells_of(summary, 0)
    assert set(line(panel, "no thinking").get_ydata()) == {value_of(conventional, metric)}


@pytest.mark.parametrize(("panel_number", "metric"), list(enumerate(METRICS[:3])))
def test_bands_are_the_intervals(summary, panel_number, metric):
    panel = draw_against_ratio(summary).axes[panel_number]
    bands = [c for c in panel.collections if isinstance(c, FillBetweenPolyCollection)]
    assert len(bands) == 3
    for band, budget in zip(bands, (100, 200, 400), strict=True):
        for cell in cells_of(summary, budget):
            assert edges_at(band, cell["answer_thinking_ratio"]) == interval_of(cell, metric)
    (span,) = boxes(panel)
    assert (span.get_y(), span.get_y() + span.get_height()) == pytest.approx(
        interval_of(cells_of(summary, 0)[0], metric)
    )


def test_ece_shows_the_calibrated_range_and_no_band(summary):
    panel = draw_against_ratio(summary).axes[3]
    ordered = [cell for budget in (100, 200, 400, 0) for cell in cells_of(summary, budget)]
    expected = [verbalised(cell)["ece_if_calibrated"] for cell in ordered]
    assert [bar[1:] for bar in bars(panel)] == [(found["low"], found["high"]) for found in expected]
    assert not boxes(panel)
    assert not [c for c in panel.collections if isinstance(c, FillBetweenPolyCollection)]
    assert panel.get_ylim()[0] == 0


def test_a_missing_value_leaves_a_gap_and_a_missing_interval_no_band(summary):
    cells = cells_of(summary, 200)
    verbalised(cells[2]).update(aurc=None, aurc_interval=None)
    verbalised(cells[3])["coverage_at_target_interval"] = None
    panels = draw_against_ratio(summary).axes
    drawn = line(panels[1], "budget 200").get_ydata()
    assert np.isnan(drawn[2]) and not np.isnan(drawn[[0, 1, 3, 4]]).any()
    aurc, coverage = (
        [c for c in panels[number].collections if isinstance(c, FillBetweenPolyCollection)][1] for number in (1, 2)
    )
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


def test_one_ratio_is_drawn_as_points_side_by_side_with_bars():
    summary = make_summary(ratios=(0.5,))
    panels = draw_against_ratio(summary).axes
    panel = panels[1]
    x = [line(panel, f"budget {budget}").get_xdata()[0] for budget in (100, 200, 400)]
    assert x[0] < x[1] == 0.5 < x[2]
    for place, bar, budget in zip(x, bars(panel), (100, 200, 400), strict=True):
        assert bar == (place, *interval_of(cells_of(summary, budget)[0], "aurc"))
    assert [label.get_text() for label in panels[3].get_xticklabels()] == ["0.5"]


def test_budgets_differ_in_colour_marker_and_dash():
    summary = make_summary(budgets=range(50, 350, 50))
    lines = [drawn for drawn in draw_against_ratio(summary).axes[0].get_lines() if drawn.get_label() != "no thinking"]
    assert len({drawn.get_color() for drawn in lines}) == len(lines) == len(COLOURS)
    assert len({drawn.get_marker() for drawn in lines}) == len(lines)
    assert len({str(drawn._dash_pattern) for drawn in lines}) == len(lines)


# --- the ideal reasoner of the demo -------------------------------------------------------------------------------

@pytest.fixture
def demo_summary(summary):
    return summary | {"run": {"is_demo": True}}


def small(summary):
    """With the cells of one budget, which are drawn in a third of the time."""
    return summary | {"cells": cells_of(summary, 200)}


def test_ideal_reasoner_is_known_for_the_demo_only(demo_summary):
    """The figures are those of the README's table, rounded there to three digits."""
    assert demo_ideal(make_summary()) is None
    ideal = demo_ideal(demo_summary)
    assert list(ideal) == [100, 200, 400]
    assert ideal[200]["accuracy"] == pytest.approx([0.250, 0.362, 0.487, 0.613, 0.738], abs=6e-4)
    assert ideal[200]["aurc"] == pytest.approx([0.443, 0.329, 0.239, 0.258, 0.262], abs=6e-4)
    assert ideal[200]["coverage_at_target"] == pytest.approx([0.174, 0.250, 0.339, 0.168, 0.000], abs=6e-4)
    assert demo_ideal(demo_summary | {"target_error": 0.3})[200]["coverage_at_target"][4] > 0.9


def test_ideal_lines_are_what_the_caller_gives(summary):
    ideal = {200: {"accuracy": [0.1, 0.2, 0.3, 0.4, 0.5]}}
    panels = draw_against_ratio(summary, ideal).axes
    assert list(line(panels[0], "ideal 200").get_ydata()) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert line(panels[0], "ideal 200").get_zorder() < line(panels[0], "budget 200").get_zorder()
    for panel in panels[1:]:
        assert not [label for label in labels(panel) if label.startswith("ideal")]
    legend = [text.get_text() for text in draw_against_ratio(summary, ideal).legends[0].get_texts()]
    assert "ideal reasoner" in legend
    assert "ideal reasoner" not in [text.get_text() for text in draw_against_ratio(summary).legends[0].get_texts()]


# --- reliability, risk and coverage -------------------------------------------------------------------------------

def test_reliability_shows_every_cell_with_its_bins_and_counts(summary):
    figure = draw_reliability(summary)
    shown = [panel for panel in figure.axes if panel.axison]
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


def test_reliability_of_a_cell_without_any_confidence_is_empty(summary):
    cell = summary["cells"][3]
    verbalised(cell)["n"] = 0
    for row in verbalised(cell)["bins"]:
        row.update(count=0, mean_confidence=None, accuracy=None)
    panel = [panel for panel in draw_reliability(summary).axes if panel.axison][3]
    assert not boxes(panel) and len(line(panel, "accuracy").get_xdata()) == 0
    assert "n = 0" in panel.get_title()


def test_risk_coverage_curves_and_target(summary):
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


def test_risk_coverage_of_no_points_and_of_one(summary):
    cells = cells_of(summary, 200)
    cells[0]["risk_coverage"] = {"threshold": [], "coverage": [], "selective_risk": []}
    cells[1]["risk_coverage"] = {"threshold": [0.7], "coverage": [1.0], "selective_risk": [0.4]}
    panel = draw_risk_coverage(summary).axes[1]
    assert len(line(panel, "ratio 0").get_xdata()) == 0
    assert line(panel, "ratio 0.25").get_markevery() == [0]


# --- cost frontier ------------------------------------------------------------------------------------------------

def test_cost_points_are_tokens_of_both_stages_and_accuracy(summary):
    panel = draw_cost_frontier(summary).axes[0]
    for budget in (100, 200, 400):
        drawn = line(panel, f"budget {budget}")
        cells = cells_of(summary, budget)
        tokens = [0.8 * cell["answer_budget"] + 0.6 * cell["confidence_budget"] for cell in cells]
        assert list(drawn.get_xdata()) == pytest.approx(tokens)
        assert list(drawn.get_ydata()) == [cell["accuracy"] for cell in cells]
    assert list(line(panel, "no thinking").get_xdata()) == [0]
    ordered = [cell for budget in (100, 200, 400, 0) for cell in cells_of(summary, budget)]
    assert [bar[1:] for bar in bars(panel)] == [interval_of(cell, "accuracy") for cell in ordered]
    texts = [child.get_text() for child in panel.get_children() if isinstance(child, Annotation)]
    assert texts == ["0", "0.25", "0.5", "0.75", "1"] * 3


def test_a_cell_without_accuracy_or_tokens_has_no_point_and_no_label(summary):
    cells = cells_of(summary, 200)
    cells[0].update(accuracy=None, accuracy_interval=None)
    cells[1]["budget_audit"]["confidence"]["mean_thinking_tokens"] = None
    panel = draw_cost_frontier(summary).axes[0]
    drawn = line(panel, "budget 200")
    assert np.isnan(drawn.get_ydata()[0]) and np.isnan(drawn.get_xdata()[1])
    assert len([child for child in panel.get_children() if isinstance(child, Annotation)]) == 13


def cost_cell(tokens, accuracy):
    audit = {"answer": {"mean_thinking_tokens": tokens}, "confidence": {"mean_thinking_tokens": 0.0}}
    return {"accuracy": accuracy, "budget_audit": audit}


def test_pareto_frontier_by_hand():
    kept = [cost_cell(0, 0.2), cost_cell(50, 0.4), cost_cell(90, 0.7)]
    dominated = [cost_cell(60, 0.4), cost_cell(50, 0.3), cost_cell(80, 0.35), cost_cell(95, 0.7), cost_cell(10, None)]
    assert pareto_frontier([*dominated, *reversed(kept)]) == kept


def test_frontier_is_drawn_through_its_cells(summary):
    drawn = line(draw_cost_frontier(summary).axes[0], "Pareto frontier")
    assert list(drawn.get_ydata()) == [cell["accuracy"] for cell in pareto_frontier(summary["cells"])]
    assert drawn.get_drawstyle() == "steps-post"


@pytest.mark.parametrize("shape", SHAPES)
def test_ratio_labels_lie_on_no_other_label(shape):
    panel = draw_cost_frontier(make_summary(**SHAPES[shape])).axes[0]
    found = [child.get_window_extent() for child in panel.get_children() if isinstance(child, Annotation)]
    for index, first in enumerate(found):
        assert not [second for second in found[index + 1:] if first.overlaps(second)]


# --- saturation, position bias ------------------------------------------------------------------------------------

def test_saturation_lines(summary):
    panel = draw_saturation(summary).axes[0]
    for stage in ("answer", "confidence"):
        drawn = line(panel, f"{stage} stage")
        assert list(drawn.get_xdata()) == [point["cap"] for point in summary["saturation"][stage]]
        assert list(drawn.get_ydata()) == [point["share_natural"] for point in summary["saturation"][stage]]


def test_saturation_of_stages_that_never_think(summary):
    summary["saturation"]["confidence"] = []
    assert labels(draw_saturation(summary).axes[0]) == ["answer stage"]
    summary["saturation"]["answer"] = []
    panel = draw_saturation(summary).axes[0]
    assert labels(panel) == [] and [text.get_text() for text in panel.texts] == ["no thought in this run"]


def test_position_bias_of_the_conventional_arm_and_each_budgets_best_cell(summary):
    best = cells_of(summary, 400)[4]
    verbalised(best)["aurc"] = 0.01
    for cell in cells_of(summary, 100):
        verbalised(cell)["aurc"] = None
    panels = draw_position_bias(summary).axes
    titles = [panel.get_title().split("\n")[0] for panel in panels]
    assert titles == ["no thinking", "budget 200, ratio 0.5", "budget 400, ratio 1"]
    for row in best["position_bias"]:
        row["share_chosen"] += 0.01
    panel = draw_position_bias(summary).axes[2]
    assert [bar.get_height() for bar in boxes(panel)] == [row["share_chosen"] for row in best["position_bias"]]
    assert list(line(panel, "correct").get_ydata()) == [row["share_correct"] for row in best["position_bias"]]
    assert [label.get_text() for label in panel.get_xticklabels()] == list("ABCD")


def test_position_bias_counts_records_without_error(summary):
    summary["cells"][0]["n_errors"] = 7
    assert "n = 493" in draw_position_bias(summary).axes[0].get_title()
    assert "493-500 records per cell" in draw_saturation(summary).get_supxlabel()


# --- every figure -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("of", FIGURES, ids=lambda of: of.file_name)
def test_every_text_is_readable_and_inside_the_figure(of, shape):
    figure = of.draw(make_summary(**SHAPES[shape]))
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 8
    page = figure.bbox
    own = [figure._supxlabel, figure._supylabel, *figure.legends]
    for text in [*(text for text in own if text is not None), *(axes.title for axes in figure.axes)]:
        box = text.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    x_label = figure._supxlabel.get_window_extent()
    tick_labels = [label for axes in figure.axes for label in axes.get_xticklabels() if label.get_text()]
    for other in (*figure.legends, *tick_labels):
        assert not x_label.overlaps(other.get_window_extent())
    assert "n = " in figure.get_supxlabel() + "".join(axes.get_title() for axes in figure.axes)


def test_every_figure_of_the_documentation_is_drawn_and_no_other():
    documentation = (Path(__file__).resolve().parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    assert [of.file_name for of in FIGURES] == re.findall(r"^\| `(\w+\.png)` \|", documentation, re.MULTILINE)


@pytest.mark.parametrize(
    ("file_name", "x_label", "caption"),
    [
        ("against_ratio.png", "share of the budget for the answer stage", "against the share of the budget"),
        ("reliability.png", "verbalised confidence", "in ten bins of equal width"),
        ("risk_coverage.png", "coverage: share of answers that are used", "The horizontal line is the target error"),
        ("cost_frontier.png", "mean thinking tokens spent per question", "The grey steps are the Pareto frontier"),
        ("saturation.png", "cap (thinking tokens of the stage)", "closed by itself within a cap"),
        ("position_bias.png", "letter of the option as shown", "How often each letter was chosen"),
    ],
)
def test_each_file_holds_the_figure_that_its_name_and_caption_promise(file_name, x_label, caption):
    (of,) = [of for of in FIGURES if of.file_name == file_name]
    assert x_label in of.draw(make_summary(budgets=(200,))).get_supxlabel()
    assert caption in " ".join(of.caption.split())


# --- files and command line ---------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path, summary):
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return tmp_path


def test_files_are_the_same_bytes_whenever_they_are_drawn(folder):
    paths = draw_figures(folder)
    assert paths == [folder / "figures" / of.file_name for of in FIGURES]
    first = [path.read_bytes() for path in paths]
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "savefig.facecolor": "red"}):
        assert [path.read_bytes() for path in draw_figures(folder)] == first
    assert sorted(path.name for path in (folder / "figures").iterdir()) == sorted(of.file_name for of in FIGURES)
    assert not any(key in first[0] for key in (b"tEXt", b"tIME"))
    assert imread(paths[0]).shape[1] == 7 * plot_results.DPI


def test_drawing_leaves_the_summary_and_matplotlibs_settings_alone(summary):
    before, settings = copy.deepcopy(summary), dict(matplotlib.rcParams)
    for of in FIGURES:
        of.draw(summary)
    assert summary == before and dict(matplotlib.rcParams) == settings


def test_demo_folder_shows_the_ideal_reasoner_in_the_figure_that_compares_ratios(folder, demo_summary):
    (folder / "summary.json").write_text(json.dumps(small(make_summary())), encoding="utf-8")
    plain = [path.read_bytes() for path in draw_figures(folder)]
    (folder / "summary.json").write_text(json.dumps(small(demo_summary)), encoding="utf-8")
    demo = [path.read_bytes() for path in draw_figures(folder)]
    assert [one != other for one, other in zip(plain, demo, strict=True)] == [of.shows_ideal for of in FIGURES]
    labels_of = labels(draw_against_ratio(demo_summary, demo_ideal(demo_summary)).axes[0])
    assert [label for label in labels_of if label.startswith("ideal")] == ["ideal 100", "ideal 200", "ideal 400"]


def test_the_same_summary_gives_the_same_files_wherever_the_checkout_lies(folder, demo_summary, tmp_path_factory):
    (folder / "summary.json").write_text(json.dumps(small(demo_summary)), encoding="utf-8")
    here = [path.read_bytes() for path in draw_figures(folder)]
    elsewhere = tmp_path_factory.mktemp("another checkout")
    for path in SCRIPT.parent.glob("*.py"):
        shutil.copy(path, elsewhere)
    (elsewhere / "demo").mkdir()
    for path in (SCRIPT.parent / "demo").glob("*.py"):
        shutil.copy(path, elsewhere / "demo")
    command = [sys.executable, str(elsewhere / SCRIPT.name), str(folder)]
    paths = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [Path(path).read_bytes() for path in paths] == here


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "no such backend"])
def test_a_backend_that_the_environment_names_does_not_matter(folder, backend):
    """A notebook sets the first for every program that it starts; its package need not be there."""
    (folder / "summary.json").write_text(json.dumps(small(make_summary())), encoding="utf-8")
    drawn = [path.read_bytes() for path in draw_figures(folder)]
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False,
        env=os.environ | {"MPLBACKEND": backend},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [Path(path).read_bytes() for path in ended.stdout.splitlines()] == drawn


def run_script(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_line_draws_each_folder(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "summary.json").write_text(json.dumps(make_summary(budgets=())), encoding="utf-8")
    ended = run_script(folder, other)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = [place / "figures" / of.file_name for place in (folder, other) for of in FIGURES]
    assert ended.stdout.splitlines() == [str(path) for path in expected]
    assert all(path.is_file() for path in expected)


def test_command_line_without_a_summary_and_help(tmp_path):
    ended = run_script(tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    path = tmp_path / "summary.json"
    assert ended.stderr == f"plot_results.py: {path}: not found; name the folder of a finished run\n"
    assert not (tmp_path / "figures").exists()
    helped = run_script("--help")
    assert helped.returncode == 0 and "RESULTS_DIR" in helped.stdout


@pytest.mark.parametrize("arguments", [[], ["--colour", "x"]])
def test_command_line_mistakes_are_one_line(arguments, capsys):
    assert plot_results.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


BROKEN = [
    ("{", "is not JSON"),
    ("[" * 100_000, "is not JSON (brackets within brackets)"),
    ('{"target_error": 0.05, "cells": ' + "[" * 500 + "]" * 500 + "}", "is not JSON (brackets within brackets)"),
    ("[]", "it has no list of cells"),
    ('{"cells": 5}', "it has no list of cells"),
    ('{"cells": []}', "has no field target_error"),
    ('{"target_error": 0.05, "cells": [], "run": {}}', "has no field saturation"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_a_summary_that_is_broken_or_older_is_one_line(tmp_path, text, words, capsys):
    (tmp_path / "summary.json").write_text(text, encoding="utf-8")
    assert plot_results.main([str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert words in err and str(tmp_path / "summary.json") in err and err.count("\n") == 1


CHANGES = {
    "field cells[3].risk_coverage": lambda summary: summary["cells"][3].pop("risk_coverage"),
    "field cells[0].confidences.confidence": lambda summary: summary["cells"][0]["confidences"].clear(),
    "field cells[1].confidences.confidence.bins": lambda summary: verbalised(summary["cells"][1]).pop("bins"),
    "field saturation.confidence": lambda summary: summary["saturation"].pop("confidence"),
    "field run.is_demo": lambda summary: summary.update(run={}),
    "field cells[0].total_budget": lambda summary: summary.update(cells=[5]),
    "cell;": lambda summary: summary["cells"].clear(),
}


@pytest.mark.parametrize("lacking", CHANGES)
def test_the_field_that_is_lacking_is_named(folder, summary, lacking):
    CHANGES[lacking](summary)
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    with pytest.raises(UserError, match="has no ") as raised:
        draw_figures(folder)
    assert f"has no {lacking}" in str(raised.value)
    assert not (folder / "figures").exists()


WRONG = {
    "cells[0].accuracy is '0.5', where a number belongs": lambda summary: summary["cells"][0].update(accuracy="0.5"),
    "target_error is '5%', where a number belongs": lambda summary: summary.update(target_error="5%"),
    "saturation.answer[0].cap is '1', where": lambda summary: summary["saturation"]["answer"][0].update(cap="1"),
    "cannot be drawn (TypeError": lambda summary: summary["cells"][1].update(accuracy_interval=[0.4, 0.6]),
    "cannot be drawn (KeyError": lambda summary: verbalised(summary["cells"][1])["bins"][0].pop("count"),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_summary_with_something_else_where_a_number_belongs_is_one_line(folder, summary, words, capsys):
    WRONG[words](summary)
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert plot_results.main([str(folder)]) == 2
    err = capsys.readouterr().err
    assert words in err and str(folder / "summary.json") in err and err.count("\n") == 1


def test_figures_are_not_written_through_links(folder, tmp_path):
    victim, elsewhere = tmp_path / "victim", tmp_path / "elsewhere"
    victim.write_text("precious")
    (folder / "figures").mkdir()
    for figure in FIGURES:
        (folder / "figures" / figure.file_name).symlink_to(victim)
        (folder / "figures" / f"{figure.file_name}.tmp").symlink_to(victim)
    draw_figures(folder)
    assert victim.read_text() == "precious"
    elsewhere.mkdir()
    shutil.rmtree(folder / "figures")
    (folder / "figures").symlink_to(elsewhere)
    with pytest.raises(UserError, match=r"figures: cannot be written to \(it is a symbolic link"):
        draw_figures(folder)
    assert not list(elsewhere.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(folder, capsys):
    (folder / "figures").write_text("in the way", encoding="utf-8")
    assert plot_results.main([str(folder)]) == 2
    err = capsys.readouterr().err
    assert "cannot be written to" in err and err.count("\n") == 1
