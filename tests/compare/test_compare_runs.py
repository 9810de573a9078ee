"""`--compare` from the command line: finished runs in, tables, comparison.json, figure and page out."""
import fcntl
import json
import shutil

import numpy as np
import pytest
from finished_runs import right_with, write_finished_run, wrong_with

import run_experiment
from compare.compared_run import read_compared_run
from runs.results_folder import run_folders

CELLS = ((0, None), (100, 0.5), (100, 1.0))
N = 40


def half_right(record):
    """Right in every second question, with 10 tokens of thinking in each stage."""
    (right_with(0.8) if int(record["question_id"][1:]) % 2 else wrong_with(0.6))(record)
    for stage in ("answer", "confidence"):
        record[f"{stage}_thinking_tokens"] = 10


def better_in_one_cell(record):
    """As half_right, but at ratio 1 always right and with 30 tokens more."""
    half_right(record)
    if record["answer_thinking_ratio"] == 1:
        right_with(0.9)(record)
        record["answer_thinking_tokens"] = 40


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_runs")
    write_finished_run(folder / "one", N, 2, CELLS, half_right)
    write_finished_run(folder / "two", N, 2, CELLS, better_in_one_cell)
    change_config(folder / "two", lambda config: config["identity"].update(temperature=1.0))
    return folder


@pytest.fixture
def two_runs(made_once, tmp_path):
    return [shutil.copytree(made_once / name, tmp_path / name) for name in ("one", "two")]


def change_config(run, change):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    change(config)
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")


def change_records(run, change):
    """change: called with each record; the summary keeps saying how many there are."""
    lines = (run / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        change(record)
    (run / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")


def compare(runs, *flags):
    """The content of comparison.json after a comparison that ends well."""
    assert run_experiment.main(["--compare", *map(str, runs), *flags]) == 0
    (path,) = runs[0].parent.glob("comparison-*/comparison.json")
    return json.loads(path.read_text(encoding="utf-8"))


def refused(capsys, *arguments):
    """The one line of a command that is refused."""
    assert run_experiment.main(["--compare", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("run_experiment.py: ")


def test_a_run_that_is_better_in_one_cell_is_said_to_be_in_that_cell_alone(two_runs, tmp_path, capsys):
    result = compare(two_runs)
    said = " ".join(capsys.readouterr().out.split())
    (pair,) = result["pairs"]
    by_cell = {(cell["total_budget"], cell["answer_thinking_ratio"]): cell for cell in pair["cells"]}
    assert list(by_cell) == [(0, None), (100, 0.5), (100, 1.0)]
    equal, better = by_cell[100, 0.5], by_cell[100, 1.0]
    assert (equal["accuracy"]["value"], equal["accuracy"]["difference"]) == (0.5, 0.0)
    assert (better["accuracy"]["value_against"], better["accuracy"]["value"]) == (0.5, 1.0)
    assert better["accuracy"]["difference"] == 0.5
    assert 0 < better["accuracy"]["interval"]["low"] < 0.5 < better["accuracy"]["interval"]["high"] <= 1
    assert better["aurc"]["value"] == 0.0 and better["aurc"]["interval"]["high"] < 0
    # Brier: wrong with 0.6 and right with 0.8 are (0.36 + 0.04) / 2; right with 0.9 is 0.01
    assert better["brier"]["value_against"] == pytest.approx(0.2) and better["brier"]["value"] == pytest.approx(0.01)
    assert (better["thinking_tokens"]["value_against"], better["thinking_tokens"]["value"]) == (20.0, 50.0)
    assert "Run 2 against run 1, 40 common questions, by the verbalised confidence." in said
    assert "Accuracy: higher at budget 100, ratio 1 (+0.500 [" in said
    assert [cell["n_same_answers"] for cell in pair["cells"]] == [80, 80, 40]  # wrong answers were right in the other
    assert "The same answer in 200 of 240 pairs of records." in said
    assert "no difference beyond chance in the other 2 cells. AURC: lower at budget 100, ratio 1" in said
    assert "What differs between these runs: temperature" in said
    folder = next(tmp_path.glob("comparison-*"))
    assert (folder / "figures" / "comparison.png").stat().st_size > 10_000
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert pair["answer"] in page and "Content-Security-Policy" in page and "<script" not in page
    assert "comparison-" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_interval_is_the_paired_bootstrap_of_the_largest_t_over_all_cells_and_runs(two_runs, tmp_path):
    """Against a second implementation: means of questions, resampled by hand, one critical value for the family."""
    from scipy.stats import norm, t

    third = write_finished_run(tmp_path / "three", N, 2, CELLS[1:])
    result = compare([*two_runs, third], "--seed", "3")
    rng, runs = np.random.default_rng(3), [read_compared_run(str(run)) for run in (*two_runs, third)]
    drawn = [rng.integers(N, size=N) for _ in range(1000)]
    family = [(number, key) for number in (1, 2) for key in runs[0].cells if key in runs[number].cells]
    by_question = [_means(runs[number].cells[key]) - _means(runs[0].cells[key]) for number, key in family]
    observed = np.array([one.mean() for one in by_question])
    resampled = np.array([[one[rows].mean() for rows in drawn] for one in by_question])
    errors = resampled.std(axis=1, ddof=1) * np.sqrt(N / (N - 1))
    varies = errors > 1e-9
    largest = np.sort((np.abs(resampled - observed[:, None])[varies] / errors[varies, None]).max(axis=0))
    rank = int(np.ceil(0.95 * 1001 + np.sqrt(0.95 * 0.05 * 1000)))
    critical = abs(t.ppf(norm.cdf(-largest[rank - 1]), N - 1))
    rows = [cell["accuracy"] for pair in result["pairs"] for cell in pair["cells"]]
    assert [row["difference"] for row in rows] == pytest.approx(list(observed))
    assert len(rows) == 5 and sum(varies) >= 3
    for row, difference, error in zip(rows, observed, errors, strict=True):
        assert row["interval"]["low"] == pytest.approx(max(-1, difference - critical * error), abs=1e-9)
        assert row["interval"]["high"] == pytest.approx(min(1, difference + critical * error), abs=1e-9)


def _means(cell):
    return np.bincount(cell.question, weights=cell.is_correct) / np.bincount(cell.question)


def test_the_same_command_gives_the_same_file_and_another_confidence_another_folder(two_runs, tmp_path):
    first = compare(two_runs)
    (folder,) = tmp_path.glob("comparison-*")
    before = {path.name: path.read_bytes() for path in folder.rglob("*.*")}
    assert compare(two_runs) == first
    assert {path.name: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert run_experiment.main(["--compare", *map(str, two_runs), "--confidence", "p_true"]) == 0
    assert len(list(tmp_path.glob("comparison-*"))) == 2


def test_questions_are_paired_by_content_whatever_the_order_of_their_options(two_runs, capsys):
    def change(record):
        number = int(record["question_id"][1:])
        if number == 0:
            record["question"] += " Or not?"
        elif number == 1:  # another key
            record["correct_option"] = (record["correct_option"] + 1) % 4
        elif number == 2:
            record["question_id"] = "another id"
        elif number == 3:  # the file has its options in another order, with the same one right
            record["option_order"] = [1, 2, 3, 0]

    change_records(two_runs[1], change)
    result = compare(two_runs)
    assert result["n_questions"] == N - 3
    assert [run["n_left_out"] for run in result["runs"]] == [3, 3]
    assert [run["n_records"] for run in result["runs"]] == [3 * 2 * (N - 3)] * 2
    assert "run 2: 3 of its 40 questions are left out" in capsys.readouterr().out
    # Answers to options in another order are not compared.
    assert [cell["n_answer_pairs"] for cell in result["pairs"][0]["cells"]] == [2 * (N - 4)] * 3


def test_the_same_answers_are_counted_among_pairs_of_records_that_both_have_one(two_runs):
    def change(record):
        number = int(record["question_id"][1:])
        if number == 4:
            record.update(predicted_option=None, is_correct=None)
        elif number == 5:
            record["error"] = "logits not finite"
        elif number in (6, 7) and record["permutation"] == 1:
            record["predicted_option"] = (record["predicted_option"] + 2) % 4

    change_records(two_runs[1], change)
    for cell in compare(two_runs)["pairs"][0]["cells"][:2]:
        assert (cell["n_answer_pairs"], cell["n_same_answers"]) == (2 * N - 4, 2 * N - 4 - 2)


def test_of_runs_with_other_numbers_of_permutations_the_common_ones_are_compared(two_runs, tmp_path, capsys):
    """AURC of two records per question is not that of one, even where both say the same."""
    alone = write_finished_run(tmp_path / "single", N, 1, CELLS, half_right)
    result = compare([two_runs[0], alone])
    assert [run["n_further_records"] for run in result["runs"]] == [3 * N, 0]
    assert f"run 1: {3 * N} of its records are left out: another run has fewer" in capsys.readouterr().out
    for cell in result["pairs"][0]["cells"]:
        for figure in ("accuracy", "aurc", "brier", "thinking_tokens"):
            assert cell[figure]["difference"] == pytest.approx(0, abs=1e-12)
        assert cell["accuracy"]["interval"] == {"low": 0.0, "high": 0.0}


def test_what_is_missing_stays_null_is_counted_and_keeps_the_verdict_back(two_runs, capsys):
    def break_one_cell(record):
        if record["total_budget"] == 0:
            record |= {"error": "answer stage: broke", "is_correct": None, "predicted_option": None, "confidence": None}
            record |= {"answer_thinking_tokens": None, "answer_probabilities": None}

    change_records(two_runs[1], break_one_cell)
    result = compare(two_runs)
    cell = result["pairs"][0]["cells"][0]
    for figure in ("accuracy", "aurc", "brier", "thinking_tokens"):
        row = cell[figure]
        assert (row["value"], row["difference"], row["interval"]) == (None, None, None)
        assert (row["n_missing"], row["n_missing_against"]) == (2 * N, 0)
    assert (cell["n_errors"], cell["n_errors_against"]) == (2 * N, 0)
    said = capsys.readouterr().out
    assert "no verdict, 80 of 480 records have no confidence" in said
    assert "run 2: of 240 records 80 have errors, and 80 have no verbalised confidence" in said


@pytest.mark.parametrize(("n", "has_interval", "has_verdict"), [(9, False, False), (10, True, False), (20, True, True)])
def test_few_questions_give_no_interval_and_no_verdict(n, has_interval, has_verdict, tmp_path):
    runs = [write_finished_run(tmp_path / name, n, 1, CELLS[:1]) for name in "ab"]
    (pair,) = compare(runs)["pairs"]
    assert (pair["cells"][0]["accuracy"]["interval"] is not None) is has_interval
    assert ("no verdict" not in pair["answer"]) is has_verdict


def test_cells_that_one_run_lacks_are_left_out_and_said(two_runs, tmp_path, capsys):
    other = write_finished_run(tmp_path / "other", N, 1, ((0, None), (100, 0.25)))
    (pair,) = compare([two_runs[0], other])["pairs"]
    assert [cell["total_budget"] for cell in pair["cells"]] == [0]
    assert pair["n_cells_left_out"] == 3
    assert "run 1 and run 2: 3 cells are left out" in capsys.readouterr().out


def test_several_differences_are_said_to_be_inseparable_in_the_pair_that_has_them(two_runs, tmp_path):
    third = shutil.copytree(two_runs[1], tmp_path / "three")
    change_config(third, lambda config: config["identity"].update(seed=7))
    one, two = compare([*two_runs, third])["pairs"]
    assert (one["what_differs"], two["what_differs"]) == (["temperature"], ["temperature", "seed"])
    assert "Several parts differ" not in one["answer"]
    assert "Several parts differ (temperature, seed), so a difference cannot be put down to one" in two["answer"]


def test_the_folder_of_a_comparison_is_no_run(two_runs, tmp_path):
    compare(two_runs)
    assert run_folders(tmp_path) == two_runs


@pytest.mark.parametrize(("spoil", "why"), [
    (lambda run: (run / "summary.json").unlink(), "is not finished"),
    (lambda run: (run / "records.process-1.jsonl").write_text(""), "is not finished"),
    (lambda run: (run / "config.json").unlink(), "config.json is missing"),
    (lambda run: (run / "config.json").write_text("{"), "no config.json of a run"),
    (lambda run: (run / "records.jsonl").unlink(), "cannot be read"),
    (lambda run: change_records(run, lambda record: record.update(confidence=7)), "line 1 is no record"),
    (lambda run: change_records(run, lambda record: record.pop("is_correct")), "line 1 is no record"),
    (lambda run: change_records(run, lambda record: record.update(total_budget=7)), "not one of the run's"),
    (lambda run: change_records(run, lambda record: record.update(option_order=[0, 0, 1, 2])), "do not fit together"),
    (lambda run: change_records(run, lambda record: record.update(permutation=0)), "are not those of its summary"),
    (lambda run: change_records(run, lambda record: record.update(question_id="x")), "are not those of its summary"),
    (lambda run: change_records(run, lambda record: record.update(question="Other?")), "no question in common"),
    (lambda run: (run / "records.jsonl").write_text("[1]\n"), "it is no object"),
])  # fmt: skip
def test_a_run_that_cannot_be_compared_is_refused_in_one_line_and_nothing_is_written(
    spoil, why, two_runs, tmp_path, capsys
):
    spoil(two_runs[1])
    assert why in refused(capsys, *two_runs)
    assert not list(tmp_path.glob("comparison-*")) and not (tmp_path / "index.html").exists()


def test_names_that_are_no_two_runs_are_refused(two_runs, tmp_path, capsys):
    assert "one run" in refused(capsys, two_runs[0])
    assert "are one folder" in refused(capsys, two_runs[0], f"{two_runs[0]}/../one")
    assert "no results there" in refused(capsys, two_runs[0], tmp_path / "nowhere")
    line = refused(capsys, two_runs[0], tmp_path)
    assert "2 runs are there" in line and "(one, two)" in line
    assert "no other flag" in refused(capsys, *two_runs, "--target-error", "0.1")
    assert "--confidence guess" in refused(capsys, *two_runs, "--confidence", "guess")


def test_runs_without_a_common_cell_are_refused(two_runs, tmp_path, capsys):
    other = write_finished_run(tmp_path / "other", N, 1, ((100, 0.25),))
    line = refused(capsys, two_runs[0], other)
    assert "have no cell in common" in line and "budget 100 ratio 0.25" in line


def test_a_run_that_another_process_writes_is_refused(two_runs, capsys):
    with open(two_runs[1] / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run is writing there" in refused(capsys, *two_runs)
