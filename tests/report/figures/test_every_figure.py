"""What holds for every figure, and their files."""
import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.image import imread
from matplotlib.text import Text
from read_figures import verbalised
from synthetic_summary import make_summary

from basics.errors import UserError
from report.figures import DPI, FIGURES, draw_figures, figures_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("of", FIGURES, ids=lambda of: of.file_name)
def test_every_text_is_readable_and_inside_the_figure(drawn, of, shape):
    figure = drawn(of.draw, shape)
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


def test_every_figure_that_the_readme_lists_is_drawn():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    listed = [name for text in texts for name in re.findall(r"^\| `(\w+\.png)` \|", text, re.MULTILINE)]
    assert listed == [of.file_name for of in FIGURES]


@pytest.mark.parametrize(
    ("file_name", "x_label", "caption"),
    [
        ("against_ratio.png", "share of the budget for the answer stage", "against the share of the budget"),
        ("reliability.png", "verbalised confidence", "in ten bins of equal width"),
        ("risk_coverage.png", "coverage: share of answers that are used", "The horizontal line is the target error"),
        ("cost_frontier.png", "mean thinking tokens per question", "The grey steps are the Pareto frontier"),
        ("saturation.png", "cap (thinking tokens of the stage)", "the model closed them by itself"),
        ("position_bias.png", "letter of the option as shown", "How often each letter was chosen"),
    ],
)
def test_each_file_holds_the_figure_that_its_name_and_caption_promise(drawn, file_name, x_label, caption):
    (of,) = [of for of in FIGURES if of.file_name == file_name]
    assert x_label in drawn(of.draw, "one budget").get_supxlabel()
    assert caption in " ".join(of.caption.split())


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, [of.file_name for of in FIGURES]),
        ({"ratios": (0.5,)}, [of.file_name for of in FIGURES[1:]]),
        ({"budgets": (200,), "ratios": (0.5,), "conventional": False},
         ["reliability.png", "risk_coverage.png", "saturation.png", "position_bias.png"]),
    ],
)  # fmt: skip
def test_a_figure_needs_something_to_compare(arguments, shown):
    summary = make_summary(**arguments)
    assert [of.file_name for of in figures_of(summary)] == shown
    for cell in summary["cells"]:
        del cell["per_permutation"][1:]
    assert [of.file_name for of in figures_of(summary)] == [name for name in shown if name != "position_bias.png"]


def test_drawing_leaves_the_summary_and_matplotlibs_settings_alone():
    summary = make_summary(budgets=(200,), ratios=(0.5,))
    before, settings = copy.deepcopy(summary), dict(matplotlib.rcParams)
    for of in FIGURES:
        of.draw(summary)
    assert summary == before and dict(matplotlib.rcParams) == settings


# --- files --------------------------------------------------------------------------------------------------------

def small_summary(is_demo=False):
    """Of two cells, which are drawn in a fraction of the time."""
    return make_summary(budgets=(200,), ratios=(0.5, 1), conventional=False) | {"run": {"is_demo": is_demo}}


def write_summary(folder, summary):
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def small_files(tmp_path_factory):
    """The files of the small summary, in the order of FIGURES."""
    return draw_figures(write_summary(tmp_path_factory.mktemp("small"), small_summary()))


@pytest.fixture
def small_folder(tmp_path):
    return write_summary(tmp_path, small_summary())


def contents(paths):
    return [Path(path).read_bytes() for path in paths]


def test_files_are_the_same_bytes_whenever_they_are_drawn(small_folder, small_files):
    assert small_files == [small_files[0].parent / of.file_name for of in FIGURES]
    (small_folder / "figures").mkdir()
    (small_folder / "figures" / FIGURES[0].file_name).write_bytes(b"an earlier picture")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "savefig.facecolor": "red"}):
        paths = draw_figures(small_folder)
    assert paths == [small_folder / "figures" / of.file_name for of in FIGURES]
    assert contents(paths) == contents(small_files)
    assert sorted((small_folder / "figures").iterdir()) == sorted(paths)
    assert not any(key in paths[0].read_bytes() for key in (b"tEXt", b"tIME"))
    assert imread(paths[0]).shape[1] == 7 * DPI


def test_the_ideal_reasoner_is_in_the_figure_that_compares_ratios_alone(tmp_path, small_files):
    demo = contents(draw_figures(write_summary(tmp_path, small_summary(is_demo=True))))
    changed = [one != other for one, other in zip(contents(small_files), demo, strict=True)]
    assert changed == [of.file_name == "against_ratio.png" for of in FIGURES]


DRAW = """
import json, os, sys
from pathlib import Path
named = os.environ["MPLBACKEND"]
import report.figures
import matplotlib
assert os.environ["MPLBACKEND"] == named
defaults = matplotlib.rcParamsDefault
changed = [name for name in defaults if name != "backend" and matplotlib.rcParams[name] != defaults[name]]
report.figures.FIGURES = report.figures.FIGURES[int(sys.argv[2]):]
print(json.dumps({"changed": changed, "files": list(map(str, report.figures.draw_figures(Path(sys.argv[1]))))}))
"""


@pytest.mark.parametrize(
    ("backend", "first"), [("module://matplotlib_inline.backend_inline", 0), ("no such backend", 5)]
)
def test_neither_the_place_of_the_checkout_nor_the_backend_matters(tmp_path, small_folder, small_files, backend, first):
    """A notebook names the first backend for every program that it starts; its package need not be there.

    first: of the figures that are drawn.
    """
    elsewhere = tmp_path / "another checkout"
    for package in (path.parent for path in ROOT.glob("*/__init__.py")):
        shutil.copytree(package, elsewhere / package.name, ignore=shutil.ignore_patterns("__pycache__", "model"))
    for path in ROOT.glob("*.py"):
        shutil.copy(path, elsewhere)
    environment = os.environ | {"MPLBACKEND": backend, "MATPLOTLIBRC": os.devnull, "PYTHONPATH": str(elsewhere)}
    ended = subprocess.run(
        [sys.executable, "-c", DRAW, str(small_folder), str(first)], capture_output=True, text=True, check=False,
        env=environment, cwd=elsewhere,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    said = json.loads(ended.stdout)
    assert said["changed"] == []
    assert contents(said["files"]) == contents(small_files[first:])


def test_a_figure_that_shows_nothing_any_more_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("report.figures.FIGURES", FIGURES[-2:])
    summary = small_summary()
    assert len(draw_figures(write_summary(tmp_path, summary))) == 2
    summary["saturation"] = {"answer": [], "confidence": []}
    assert draw_figures(write_summary(tmp_path, summary)) == [tmp_path / "figures" / "position_bias.png"]
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["position_bias.png"]


def test_figures_are_not_written_through_links(small_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("report.figures.FIGURES", FIGURES[-2:])  # the others take longer and say no more
    victim, elsewhere = tmp_path / "victim", tmp_path / "elsewhere"
    victim.write_text("precious")
    (small_folder / "figures").mkdir()
    for figure in FIGURES:
        (small_folder / "figures" / figure.file_name).symlink_to(victim)
        (small_folder / "figures" / f"{figure.file_name}.tmp").symlink_to(victim)
    draw_figures(small_folder)
    assert victim.read_text() == "precious"
    elsewhere.mkdir()
    shutil.rmtree(small_folder / "figures")
    (small_folder / "figures").symlink_to(elsewhere)
    with pytest.raises(UserError, match=r"figures: cannot be written to \(it is a symbolic link"):
        draw_figures(small_folder)
    assert not list(elsewhere.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(small_folder):
    (small_folder / "figures").write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written to") as raised:
        draw_figures(small_folder)
    assert "\n" not in str(raised.value)


# --- summaries that cannot be drawn -------------------------------------------------------------------------------

BROKEN = [
    ("{", "is not JSON"),
    ("[" * 100_000, "is not JSON (brackets within brackets)"),
    ('{"target_error": 0.05, "cells": ' + "[" * 500 + "]" * 500 + "}", "is not JSON (brackets within brackets)"),
    ("[]", "it has no list of cells"),
    ('{"cells": 5}', "it has no list of cells"),
    ('{"cells": []}', "has no field 'saturation'"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_a_broken_summary_is_one_line(tmp_path, text, words):
    (tmp_path / "summary.json").write_text(text, encoding="utf-8")
    assert words in refusal(tmp_path)


def refusal(folder):
    """The one line that refuses the folder's summary; nothing is drawn."""
    with pytest.raises(UserError) as raised:
        draw_figures(folder)
    assert str(folder / "summary.json") in str(raised.value) and "\n" not in str(raised.value)
    assert not (folder / "figures").exists()
    return str(raised.value)


CHANGES = {
    "has no field 'risk_coverage'": lambda summary: summary["cells"][1].pop("risk_coverage"),
    "has no field 'confidence'": lambda summary: summary["cells"][0]["confidences"].clear(),
    "has no field 'bins'": lambda summary: verbalised(summary["cells"][1]).pop("bins"),
    "has no field 'count'": lambda summary: verbalised(summary["cells"][1])["bins"][0].pop("count"),
    "has no field 'is_demo'": lambda summary: summary.update(run={}),
    "cannot be shown (TypeError": lambda summary: summary.update(cells=[5]),
    "cannot be shown (ValueError": lambda summary: summary["cells"].clear(),
    "cells[0].accuracy is '0.5', where a number belongs": lambda summary: summary["cells"][0].update(accuracy="0.5"),
    "target_error is '5%', where a number belongs": lambda summary: summary.update(target_error="5%"),
    "saturation.answer[0].cap is '1', where": lambda summary: summary["saturation"]["answer"][0].update(cap="1"),
    "cannot be shown (TypeError: list": lambda summary: summary["cells"][1].update(accuracy_interval=[0.4, 0.6]),
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_summary_of_another_shape_is_one_line(tmp_path, words):
    summary = small_summary()
    CHANGES[words](summary)
    assert words in refusal(write_summary(tmp_path, summary))


def test_the_last_field_that_a_figure_needs_is_missed_before_any_file_is_written(tmp_path):
    summary = small_summary()
    del summary["saturation"]["confidence"]
    assert "has no field 'confidence'" in refusal(write_summary(tmp_path, summary))
