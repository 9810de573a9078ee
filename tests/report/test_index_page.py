"""`index.html` of a SAVE_DIR: a line per run, whatever state its folder is in."""
import json
import os
import re
import threading

import pytest
from finished_runs import write_finished_run

import run_experiment
from report.index_page import update_index
from report.index_rows import first_sentence

CELLS = ((0, None), (100, 0.5), (100, 1.0))


def write_run(folder, started="2026-11-24T10:00:00+00:00", **changes):
    """A finished run. changes: parts of config.json to put in place."""
    write_finished_run(folder, 6, 2, CELLS)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["processes"][-1]["started"] = started
    for name, part in changes.items():
        config[name] |= part
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "report.html").write_text("<!doctype html>", encoding="utf-8")
    return folder


def index_of(save_dir):
    """The text of the index, tags and repeated blanks left out, and its source."""
    assert update_index(save_dir) == f"All runs: {save_dir / 'index.html'}"
    source = (save_dir / "index.html").read_text(encoding="utf-8")
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", source, flags=re.DOTALL).split()), source


def test_runs_stand_newest_first_with_links_and_answers(tmp_path):
    write_run(tmp_path / "a_run", "2026-11-24T10:00:00+00:00")
    write_run(tmp_path / "b_run", "2026-11-25T09:30:00+00:00")
    text, source = index_of(tmp_path)
    assert text.index("b_run") < text.index("a_run")
    assert 'href="a_run/report.html"' in source and "2026-11-25 09:30" in text
    assert "made/up-4B" in text and "made/questions" in text and "6 &times; 2" in text
    assert "0, 100" in text and "0.5, 1" in text and "finished" in text
    assert "Budget 100: the made-up answer in words." in text
    assert "<script" not in source and "default-src &#39;none&#39;" in source


def test_what_decides_records_and_has_no_column_is_named_where_runs_differ_in_it(tmp_path):
    for name, part in (("a", {}), ("b", {"dtype": "bfloat16"}), ("c", {"prompts": {"answer_prompt": "Choose."}})):
        write_run(tmp_path / name, identity={"dtype": "float32"} | part)
    text, _ = index_of(tmp_path)
    assert "Other parts that differ between runs" in text
    assert text.count("dtype bfloat16") == 1 and text.count("dtype float32") == 2
    assert len(re.findall(r"prompts.* \(content A\)", text)) and text.count("(content B)") == 1
    assert "temperature" not in text.partition("Other parts")[2]


def test_runs_that_are_told_apart_by_their_columns_have_no_other_parts(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", identity={"temperature": 0.7, "seed": 3})
    assert "Other parts" not in index_of(tmp_path)[0]


def test_a_folder_that_nobody_may_look_into_is_a_line(tmp_path, no_entry):
    write_run(tmp_path / "good")
    no_entry(tmp_path / "locked")
    no_entry(tmp_path / "comparison-locked")
    text, _ = index_of(tmp_path)
    assert "3 runs, " in text and text.count("cannot be read: config.json: Permission denied") == 2
    assert "Budget 100: the made-up answer in words." in text


def test_an_unfinished_run_says_how_far_it_is(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "summary.json").unlink()
    lines = (run / "records.jsonl").read_bytes().splitlines(keepends=True)
    (run / "records.jsonl").write_bytes(b"".join(lines[: 3 * 5]))
    (run / "report.html").unlink()
    text, source = index_of(tmp_path)
    assert "unfinished: 5 of 12 units" in text and "href" not in source


@pytest.mark.parametrize(("name", "content"), [
    ("config.json", b"{"), ("config.json", b'{"settings": 1}'), ("config.json", b"\xff"), ("summary.json", b"[]"),
    ("summary.json", b'{"cells": []}'), ("cascade.json", b"[]"),
])  # fmt: skip
def test_a_broken_run_is_a_line_and_the_others_are_shown(name, content, tmp_path):
    write_run(tmp_path / "good")
    (write_run(tmp_path / "bad") / name).write_bytes(content)
    text, _ = index_of(tmp_path)
    assert text.count("cannot be read:") == 1
    assert "Budget 100: the made-up answer in words." in text


def test_names_of_a_stranger_are_text(tmp_path):
    write_run(tmp_path / "a <b>#?%", settings={"model_name": "<script>alert(1)</script>"})
    _, source = index_of(tmp_path)
    assert "<script" not in source and 'href="a%20%3Cb%3E%23%3F%25/report.html"' in source


def test_a_comparison_and_a_cascade_are_linked_and_a_broken_comparison_is_a_line(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("one", "two")]
    assert run_experiment.main(["--compare", *map(str, runs)]) == 0
    (runs[1] / "cascade.json").write_text(json.dumps({"runs": [{"folder": "one"}, {"folder": "two"}]}))
    (tmp_path / "comparison-broken").mkdir()
    (tmp_path / "comparison-broken" / "comparison.json").write_text("{")
    text, source = index_of(tmp_path)
    (name,) = (path.parent.name for path in tmp_path.glob("comparison-*/comparison.html"))
    assert f'href="{name}/comparison.html"' in source and "one / two" in text
    assert 'href="two/report.html#cascade"' in source and "one , then two" in text
    assert "comparison-broken : cannot be read" in text


def test_a_page_of_somebody_else_is_left_as_it_is(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "index.html").write_text("my own page")
    assert "it is no index of this program" in update_index(tmp_path)
    assert (tmp_path / "index.html").read_text() == "my own page"


def test_an_index_that_cannot_be_written_is_a_line(tmp_path):
    assert "cannot be written (No such file" in update_index(tmp_path / "nowhere")
    (tmp_path / "index.html").mkdir()
    assert "cannot be written" in update_index(tmp_path)


def test_runs_that_end_together_leave_a_whole_index(tmp_path):
    runs = [write_run(tmp_path / f"run{number}") for number in range(3)]
    said = []
    threads = [threading.Thread(target=lambda: said.append(update_index(tmp_path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [f"All runs: {tmp_path / 'index.html'}"] * 6
    source = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert source.rstrip().endswith("</html>") and all(run.name in source for run in runs)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_run_and_a_redraw_write_it(finished, tmp_path, capsys, monkeypatch):
    save_dir = tmp_path / "results"
    assert (save_dir / "index.html").exists()
    (save_dir / "index.html").unlink()
    (run,) = (path for path in save_dir.iterdir() if path.is_dir())
    monkeypatch.chdir(run)
    assert run_experiment.main(["--redraw", os.curdir]) == 0
    assert f"All runs: {save_dir / 'index.html'}" in capsys.readouterr().out
    assert run.name in (save_dir / "index.html").read_text(encoding="utf-8")


def test_the_first_sentence_ends_where_the_next_begins():
    assert first_sentence("Ratio 0.5 (AURC 0.2). Ratio 1 may be as good.") == "Ratio 0.5 (AURC 0.2)."
    assert first_sentence("No full stop") == "No full stop"
