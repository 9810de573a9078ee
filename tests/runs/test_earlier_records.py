"""A run that grew: what a run beside it holds is taken over, and the rest computed."""
import json

import pytest
from readings_and_records import assert_same_records
from whole_runs import records_by_key, with_flag

import run_experiment
from runs import computation
from runs.check import run_problems
from runs.results_folder import run_folders


def run(arguments, *more):
    command = [*arguments, *more]
    assert run_experiment.main(command) == 0


def folders(arguments):
    save_dir = arguments[arguments.index("--save-dir") + 1]
    return sorted(run_folders(run_experiment.Path(save_dir)), key=lambda path: path.stat().st_mtime)


def newest(arguments):
    return folders(arguments)[-1]


@pytest.fixture
def computed(monkeypatch):
    """(units, cells) of every call that computes."""
    calls, compute = [], computation.compute_records

    def counted(model, units, cells, seed, batch_size):
        calls.append((len(units), len(cells)))
        return compute(model, units, cells, seed, batch_size)

    monkeypatch.setattr(computation, "compute_records", counted)
    return calls


def assert_same_as_alone(arguments, tmp_path, *more):
    grown = newest(arguments)
    alone = with_flag(arguments, "--save-dir", str(tmp_path / "alone"))
    run(alone, *more)
    expected, found = records_by_key(newest(alone)), records_by_key(grown)
    assert found.keys() == expected.keys()
    for key, record in found.items():
        assert_same_records(record, expected[key])
    assert newest(alone).name == grown.name
    (problem,) = set(run_problems(grown)) or {None}
    assert problem is None


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("flag", "value", "n_units", "n_cells"),
    [
        ("--n-questions", "9", 6, 1), ("--n-permutations", "3", 6, 1), ("--n-thoughts", "2", 12, 1),
        ("--total-budget", "20", 12, 2),
    ],
)
def test_only_what_is_new_is_computed(arguments, computed, tmp_path, capsys, flag, value, n_units, n_cells):
    run(arguments)
    before = newest(arguments).name
    computed.clear()
    grown = with_flag(arguments, flag, value)
    more = ("--answer-thinking-ratio", "0", "0.5", "1") if n_cells > 1 else ()
    run(grown, *more)
    assert sum(units for units, _ in computed) == n_units
    assert {cells for _, cells in computed} == {n_cells}
    said = capsys.readouterr().out
    assert f"12 records of this run are in {before} already" in said
    config = json.loads((newest(grown) / "config.json").read_text(encoding="utf-8"))
    assert config["taken_over_from"] == [before]
    computed.clear()
    assert_same_as_alone(grown, tmp_path, *more)


@pytest.mark.usefixtures("no_figures")
def test_a_run_that_computed_its_records_itself_does_not_name_the_larger_one(arguments, capsys):
    """The larger run took them over: repeated, the smaller one must not take them back."""
    run(arguments)
    config = newest(arguments) / "config.json"
    run(with_flag(arguments, "--n-questions", "9"))
    capsys.readouterr()
    run(arguments)
    assert json.loads(config.read_text(encoding="utf-8"))["taken_over_from"] == []
    said = capsys.readouterr().out
    assert "nothing is left to compute" in said
    assert "taken over" not in said


@pytest.mark.usefixtures("no_figures")
def test_a_run_that_shrinks_computes_nothing(arguments, computed, tmp_path):
    run(arguments)
    computed.clear()
    smaller = with_flag(arguments, "--n-questions", "4")
    run(smaller)
    assert computed == []
    assert_same_as_alone(smaller, tmp_path)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("flag", [("--temperature", "0.7"), ("--seed", "43"), ("--top-k", "19")])
def test_a_run_that_differs_in_anything_else_takes_nothing(arguments, computed, flag):
    run(arguments)
    computed.clear()
    run(with_flag(arguments, *flag))
    assert sum(units for units, _ in computed) == 12


@pytest.mark.usefixtures("no_figures")
def test_a_record_of_another_question_with_the_same_id_is_not_taken(arguments, computed, tmp_path):
    run(arguments)
    path = newest(arguments) / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[3]["question"] += " Really?"
    lines[5]["error"] = "answer stage: logits not finite at thinking token 3"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"torn', encoding="utf-8")
    computed.clear()
    grown = with_flag(arguments, "--n-questions", "7")
    run(grown)
    assert sum(units for units, _ in computed) == 2 + 2
    assert_same_as_alone(grown, tmp_path)
