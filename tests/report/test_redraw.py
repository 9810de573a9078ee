"""`--redraw`: figures and report of finished runs made again."""
import fcntl
import os

import pytest
from synthetic_run import make_records, write_run_folder

from basics.errors import UserError
from report.figures import FIGURES
from report.redraw import pages_of, redraw

LINE = "{}: 6 figures and report.html are drawn again\n"


@pytest.fixture(scope="module")
def records():
    return make_records(2)


@pytest.fixture
def quick(monkeypatch):
    """Figures take seconds; here they are not the subject."""
    monkeypatch.setattr("report.figures.FIGURES", ())


def index_line(save_dir):
    return f"All runs: {save_dir / 'index.html'}\n"


def test_figures_and_report_are_made_again_and_the_report_shows_the_figures(records, tmp_path, capsys):
    run = write_run_folder(tmp_path / "run", records, figures=())
    before = {path: path.read_bytes() for path in (run / "summary.json", run / "records.jsonl")}
    assert redraw([str(run)]) == 0
    assert capsys.readouterr() == (LINE.format(run) + index_line(tmp_path), "")
    assert sorted(path.name for path in (run / "figures").iterdir()) == sorted(of.file_name for of in FIGURES)
    assert (run / "report.html").read_text(encoding="utf-8").count("<img ") == len(FIGURES)
    assert {path: path.read_bytes() for path in before} == before


def test_the_pages_of_a_run_are_the_figures_with_something_to_show_and_the_report(tmp_path):
    run = write_run_folder(tmp_path / "run", make_records(2, cells=[(100, 0.5)]))
    names = ("reliability", "risk_coverage", "saturation", "position_bias")
    assert pages_of(run) == dict.fromkeys([*(f"figures/{name}.png" for name in names), "report.html"], "--redraw")
    (run / "summary.json").write_text('{"cells": [{}]}', encoding="utf-8")
    with pytest.raises(UserError, match=r"summary.json: .*'total_budget'"):
        pages_of(run)


@pytest.mark.usefixtures("quick")
def test_every_run_of_a_results_folder_and_of_several_folders(records, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    runs = [write_run_folder(tmp_path / place, records, figures=()) for place in ("results/a", "results/b", "alone")]
    (tmp_path / "results" / "notes").mkdir()
    assert redraw(["~/results", str(runs[2])]) == 0
    said = capsys.readouterr()
    lines = [LINE.replace("6", "0").format(run) for run in runs]
    of_results = [*lines[:2], index_line(tmp_path / "results")]
    assert (said.out, said.err) == ("".join([*of_results, lines[2], index_line(tmp_path)]), "")
    assert all((run / "report.html").is_file() for run in runs)


@pytest.mark.usefixtures("quick")
def test_a_run_that_cannot_be_redrawn_is_told_and_the_others_go_on(records, tmp_path, capsys):
    for name in ("a", "b", "c"):
        write_run_folder(tmp_path / name, records, figures=())
    (tmp_path / "a" / "summary.json").unlink()
    (tmp_path / "b" / "summary.json").write_text('{"cells": []}', encoding="utf-8")
    assert redraw([str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == LINE.replace("6", "0").format(tmp_path / "c") + index_line(tmp_path)
    missing, older = said.err.splitlines()
    not_found = "not found; name the folder of a finished run"
    assert missing == f"run_experiment.py: {tmp_path / 'a' / 'summary.json'}: {not_found}"
    assert older.startswith(f"run_experiment.py: {tmp_path / 'b' / 'summary.json'}: ")
    assert not list((tmp_path / "a" / "figures").iterdir())


@pytest.mark.parametrize("name", ["no such folder", ""])
def test_a_folder_without_a_run_is_one_line(tmp_path, capsys, name):
    assert redraw([str(tmp_path / name)]) == 2
    assert capsys.readouterr() == (
        "", f"run_experiment.py: --redraw {tmp_path / name}: no results there; name a run folder or a folder of them\n"
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
def test_a_run_that_another_process_writes_is_left_alone(records, tmp_path, capsys):
    run = write_run_folder(tmp_path / "run", records)
    with open(run / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert redraw([str(run)]) == 2
    assert f"{run}: another run is writing there" in capsys.readouterr().err
    assert not (run / "report.html").exists()


@pytest.mark.usefixtures("quick")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_folder_that_is_read_only_is_one_line(records, tmp_path, capsys):
    run = write_run_folder(tmp_path / "run", records)
    run.chmod(0o500)
    assert redraw([str(run)]) == 2
    run.chmod(0o700)
    assert capsys.readouterr().err.count("\n") == 1
