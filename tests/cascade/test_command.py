"""`--cascade` from the command line: runs in, answer, cascade.json, figure and report out; bad input in one line."""
import fcntl
import json
import shutil

import numpy as np
import pytest
from finished_runs import right_with, write_finished_run, wrong_with
from synthetic_run import make_records

import run_experiment
from basics.errors import UserError
from cascade.run_answers import read_run
from report.page import write_report

COSTS = ["--cascade-costs", "1/M", "10/M", "1"]
CELLS = ((100, 0.0), (100, 1.0))


def good_cloud(record):
    """The cell of ratio 1 is right and sure, that of ratio 0 wrong and sure."""
    (right_with(0.95) if record["answer_thinking_ratio"] == 1 else wrong_with(0.95))(record)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_runs")
    write_finished_run(folder / "edge", 200, 1, change=wrong_with(0.1))
    write_finished_run(folder / "cloud", 200, 1, CELLS, good_cloud)
    return folder


@pytest.fixture
def two_runs(made_once, tmp_path):
    """An edge that is wrong and knows it, and a cloud of which one cell is good; 200 questions, one permutation."""
    return [str(shutil.copytree(made_once / name, tmp_path / name)) for name in ("edge", "cloud")]


def refused(capsys, arguments):
    """The one line of a command that is refused."""
    assert run_experiment.main(["--cascade", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("run_experiment.py: ")


def test_the_answer_names_the_cell_and_the_files_hold_it(two_runs, tmp_path, capsys):
    assert run_experiment.main(["--cascade", *two_runs, *COSTS, "--target-error", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "budget 100, ratio 1: cloud alone" in said
    assert "one permutation, so there is no uncertainty" in said
    result = json.loads((tmp_path / "cloud" / "cascade.json").read_text(encoding="utf-8"))
    assert (result["target_error"], result["n_questions"], result["rules"]) == (0.1, 200, ["plain"])
    for reading in result["readings"].values():
        best = reading["certificates"][reading["cheapest"]]
        assert (best["answer_thinking_ratio"], best["runs"], best["n_automated"], best["n_wrong"]) == (1.0, [1], 200, 0)
        chosen = reading["held_out"]["deployments"][reading["held_out"]["chosen"]]
        assert (chosen["answer_thinking_ratio"], chosen["n_automated"], chosen["n_wrong"]) == (1.0, 100, 0)
        assert reading["held_out"]["n_thresholds"] == reading["held_out"]["n_judged"] == 100
        assert " ".join(reading["answer"].split()) in " ".join(said.split())
        bad = [one for one in reading["certificates"] if one["answer_thinking_ratio"] == 0]
        assert reading["meaning"].startswith("share of all") or all(one["confidence_thresholds"] is None for one in bad)
    # 1 question costs the tokens of both stages at 10 per million: prompts, closings and read-outs of 10 each, thoughts
    cost = next(one["cost"]["plain"] for one in result["tiers"] if one["answer_thinking_ratio"] == 1)
    assert 60 * 10 / 1e6 < cost < 200 * 10 / 1e6
    page = (tmp_path / "cloud" / "report.html").read_text(encoding="utf-8")
    assert 'id="cascade"' in page
    assert (tmp_path / "cloud" / "figures" / "cascade.png").stat().st_size > 10_000
    assert not (tmp_path / "edge" / "cascade.json").exists()


def test_with_several_permutations_both_rules_are_searched_and_all_orders_are_paid(tmp_path, capsys):
    edge = write_finished_run(tmp_path / "edge", 40, 3, change=right_with(0.95))
    cloud = write_finished_run(tmp_path / "cloud", 40, 3, ((0, None),), change=right_with(0.95))
    assert run_experiment.main(["--cascade", str(edge), str(cloud), "--target-error", "0.3", *COSTS]) == 0
    result = json.loads((cloud / "cascade.json").read_text(encoding="utf-8"))
    assert result["rules"] == ["plain", "uncertainty"]
    for one in result["tiers"]:
        assert one["cost"]["uncertainty"] == pytest.approx(3 * one["cost"]["plain"], rel=0.01)
    assert "cloud" in capsys.readouterr().out


def test_three_runs_are_edge_middle_and_cloud(tmp_path, capsys):
    folders = [str(write_finished_run(tmp_path / name, 40, 2, change=right_with(0.9))) for name in "abc"]
    costs = ["--cascade-costs", "3", "2", "1", "10"]
    assert run_experiment.main(["--cascade", *folders, *costs]) == 0
    assert "do not stand in rising cost: 3, 2, 1" in capsys.readouterr().out
    result = json.loads((tmp_path / "c" / "cascade.json").read_text(encoding="utf-8"))
    assert [run["name"] for run in result["runs"]] == ["edge", "run 2", "cloud"]
    assert [one["runs"] for one in result["readings"]["wrong_of_automated"]["certificates"][::2]] == [
        [0, 1, 2], [2], [0], [1],
    ]  # fmt: skip


def test_questions_that_a_run_lacks_or_has_with_other_options_are_counted_and_left_out(tmp_path, capsys):
    def other_options(record):
        if record["question_id"] == "q3":
            record["options"] = record["options"][::-1]

    edge = write_finished_run(tmp_path / "edge", 30, 2, change=other_options)
    cloud = write_finished_run(tmp_path / "cloud", 50, 2)
    assert run_experiment.main(["--cascade", str(edge), str(cloud)]) == 0
    result = json.loads((cloud / "cascade.json").read_text(encoding="utf-8"))
    assert (result["n_questions"], [run["n_left_out"] for run in result["runs"]]) == (29, [1, 21])
    assert "21 of its questions are left out" in capsys.readouterr().out


def test_records_with_errors_are_told_counted_and_never_answered(tmp_path, capsys):
    def broken(record):
        right_with(0.95)(record)
        if record["question_id"] in ("q0", "q1"):
            record.update(error="confidence stage: logits are not finite", confidence=None)

    edge = write_finished_run(tmp_path / "edge", 40, 2, change=right_with(0.95))
    cloud = write_finished_run(tmp_path / "cloud", 40, 2, change=broken)
    assert run_experiment.main(["--cascade", str(edge), str(cloud), "--target-error", "0.5"]) == 0
    assert f"{cloud}: 4 records have errors" in capsys.readouterr().out
    result = json.loads((cloud / "cascade.json").read_text(encoding="utf-8"))
    of_cloud = result["tiers"][1]
    assert (of_cloud["n_without_confidence"], of_cloud["n_without_uncertainty"]) == (2, 2)
    alone = [one for one in result["readings"]["automated_and_wrong"]["certificates"] if one["runs"] == [1]]
    assert max(one["n_automated"] for one in alone) == 38


def test_a_redraw_keeps_the_section_and_draws_its_figure(two_runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("report.figures.FIGURES", ())  # they take seconds; here they are not the subject
    run_experiment.main(["--cascade", *two_runs])
    (tmp_path / "cloud" / "figures" / "cascade.png").unlink()
    assert run_experiment.main(["--redraw", two_runs[1]]) == 0
    assert "1 figures and report.html are drawn again" in capsys.readouterr().out
    assert 'id="cascade"' in (tmp_path / "cloud" / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "cloud" / "figures" / "cascade.png").exists()


@pytest.mark.parametrize("text", ["[]", '{"readings": {}}', "{"])
def test_a_damaged_cascade_file_is_named_in_one_line(two_runs, tmp_path, capsys, monkeypatch, text):
    monkeypatch.setattr("report.figures.FIGURES", ())
    (tmp_path / "cloud" / "cascade.json").write_text(text, encoding="utf-8")
    assert run_experiment.main(["--redraw", two_runs[1]]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cascade.json" in said and "run --cascade again" in said


def test_the_section_is_put_into_the_report_that_is_there_once(two_runs, tmp_path, monkeypatch):
    page = write_report(tmp_path / "cloud")
    before = page.read_text(encoding="utf-8")
    assert 'id="cascade"' not in before
    monkeypatch.setattr("report.page.write_report", None)  # reading all records again takes minutes in a large run
    for target in ("0.1", "0.2"):
        run_experiment.main(["--cascade", *two_runs, "--target-error", target])
    after = page.read_text(encoding="utf-8")
    assert (after.count('id="cascade"'), after.count('href="#cascade"')) == (1, 1)
    assert "under 0.2 with probability" in after and "under 0.1 with probability" not in after
    begin, end = before.index('<section aria-labelledby="figures">'), before.index("</body>")
    assert before[begin:end] in after
    monkeypatch.undo()
    assert write_report(tmp_path / "cloud").read_text(encoding="utf-8") == after


def test_a_report_without_a_place_for_the_section_is_written_whole(two_runs, tmp_path):
    (tmp_path / "cloud" / "report.html").write_text("<html>an earlier version's</html>", encoding="utf-8")
    run_experiment.main(["--cascade", *two_runs])
    assert 'id="records"' in (tmp_path / "cloud" / "report.html").read_text(encoding="utf-8")


def test_names_in_the_section_are_text(two_runs, tmp_path):
    run_experiment.main(["--cascade", *two_runs])
    path = tmp_path / "cloud" / "cascade.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    result["runs"][0]["folder"] = result["runs"][0]["model_name"] = "<script>alert(1)</script>"
    path.write_text(json.dumps(result), encoding="utf-8")
    page = write_report(tmp_path / "cloud").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


# --- what is refused -----------------------------------------------------------------------------------------------


def test_fewer_than_two_runs(two_runs, capsys):
    assert "allowed are two or more" in refused(capsys, two_runs[:1])


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        (["1", "2"], "2 costs; allowed is one for each of the 2 runs"),
        (["1", "2", "3/M"], "the last cost is the expert's"),
        (["1", "-2", "3"], "--cascade-costs -2: allowed is a cost"),
        (["1", "nan", "3"], "--cascade-costs nan: allowed is a cost"),
        (["1", "2/G", "3"], "--cascade-costs 2/G: allowed is a cost"),
    ],
)
def test_costs_that_do_not_fit(two_runs, capsys, costs, words):
    assert words in refused(capsys, [*two_runs, "--cascade-costs", *costs])


def test_other_flags(two_runs, capsys):
    line = refused(capsys, [*two_runs, "--n-questions", "5"])
    assert "no other flag than --cascade-costs, --target-error, --seed (--n-questions 5)" in line
    assert "--check" in refused(capsys, [*two_runs, "--check", two_runs[0]])


def test_folders_without_a_run_or_with_several(two_runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "no results there" in refused(capsys, [str(tmp_path / "empty"), two_runs[1]])
    assert "2 runs are there" in refused(capsys, [str(tmp_path), two_runs[1]])


def test_runs_of_other_questions(two_runs, tmp_path, capsys):
    def renamed(record):
        record["question_id"] = "other " + record["question_id"]

    other = write_finished_run(tmp_path / "other", 20, 1, change=renamed)
    assert "edge and other have no question in common" in refused(capsys, [two_runs[0], str(other)])


def test_unfinished_runs(two_runs, tmp_path, capsys):
    (tmp_path / "cloud" / "summary.json").unlink()
    assert "the run is not finished (400 of 400 records and no summary.json)" in refused(capsys, two_runs)
    edge = tmp_path / "edge" / "records.jsonl"
    lines = edge.read_text(encoding="utf-8").splitlines(keepends=True)
    edge.write_text("".join(lines[:-1]) + lines[-1][:50], encoding="utf-8")
    assert "edge: the run is not finished (199 of 200 records and a summary.json)" in refused(capsys, two_runs)
    assert not (tmp_path / "cloud" / "cascade.json").exists()


def test_a_run_that_is_being_written(two_runs, tmp_path, capsys):
    with open(tmp_path / "edge" / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run is writing there" in refused(capsys, two_runs)


@pytest.mark.parametrize("damage", ["[]\n", "{}\n", "no json\n"])
def test_a_line_that_is_no_record(two_runs, tmp_path, capsys, damage):
    path = tmp_path / "edge" / "records.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:6], damage, *lines[7:]]), encoding="utf-8")
    assert "records.jsonl: line 7 is no record of this run" in refused(capsys, two_runs)


def test_a_record_that_is_there_twice(two_runs, tmp_path, capsys):
    path = tmp_path / "edge" / "records.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:-1], lines[0]]), encoding="utf-8")
    assert "not one per question, permutation and cell" in refused(capsys, two_runs)


def test_several_cells_with_thinking_before_the_last_run(two_runs, capsys):
    assert "2 cells, all with thinking" in refused(capsys, two_runs[::-1])


def test_the_cell_without_thinking_is_the_tier_of_an_earlier_run(two_runs, tmp_path, capsys):
    edge = write_finished_run(tmp_path / "swept", 200, 1, ((0, None), *CELLS), change=wrong_with(0.1))
    assert run_experiment.main(["--cascade", str(edge), two_runs[1]]) == 0
    assert "of its 3 cells the one without thinking is the tier" in capsys.readouterr().out


def test_of_several_thoughts_the_first_counts(tmp_path):
    one = write_finished_run(tmp_path / "one", 12, 3)
    several = write_finished_run(tmp_path / "several", 12, 3)
    config = json.loads((several / "config.json").read_text(encoding="utf-8"))
    config["identity"]["n_thoughts"] = 2
    (several / "config.json").write_text(json.dumps(config), encoding="utf-8")
    lines = (several / "records.jsonl").read_text(encoding="utf-8").splitlines()
    second = [json.dumps(json.loads(line) | {"thought": 1, "confidence": 0.123}) for line in lines]
    with pytest.raises(UserError, match="36 of 72 records"):
        read_run(str(several))
    (several / "records.jsonl").write_text("\n".join([*second, *lines]) + "\n", encoding="utf-8")
    for name in ("confidence", "is_correct", "tokens"):
        assert np.array_equal(getattr(read_run(str(one)), name), getattr(read_run(str(several)), name))


def test_records_are_read_into_their_places(tmp_path):
    run = read_run(str(write_finished_run(tmp_path / "run", 12, 3, CELLS)))
    records = make_records(12, 3, CELLS, thought_tokens=5)
    for record in records:
        place = (
            run.cells.index((record["total_budget"], record["answer_thinking_ratio"])),
            run.question_ids.index(record["question_id"]),
            record["permutation"],
        )
        assert run.confidence[place] == record["confidence"]
        assert run.is_correct[place] == record["is_correct"]
        thinking = record["answer_thinking_tokens"] + record["confidence_thinking_tokens"]
        assert run.tokens[place] == thinking + 60
    assert run.question_ids == sorted(f"q{number}" for number in range(12))
