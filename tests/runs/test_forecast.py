"""`--dry-run`: what is printed of a run that is not made, and that nothing is left of it."""
import json
import re
from pathlib import Path

import pytest
from whole_runs import records_by_key, run_folder, with_flag

import run_experiment
from evaluation_tool import sampled_thinking_tokens


def forecast_of(arguments, capsys, *more):
    capsys.readouterr()
    assert run_experiment.main([*arguments, "--dry-run", *more]) == 0
    return capsys.readouterr().out


def number_in(text, pattern):
    return float(re.search(pattern, text)[1].replace(",", ""))


@pytest.mark.usefixtures("no_figures")
def test_a_pilot_of_all_questions_costs_what_the_run_then_costs(arguments, capsys):
    save_dir = Path(arguments[arguments.index("--save-dir") + 1])
    said = forecast_of(arguments, capsys)
    assert "Dry run: nothing is kept." in said and "Pilot: 6 units, computed as a run would" in said
    assert list(save_dir.iterdir()) == []
    assert run_experiment.main(arguments) == 0
    folder = run_folder(arguments)
    records = records_by_key(folder)
    units = {}
    for key, record in records.items():
        units.setdefault(key[:3], []).append(record)
    sampled = sum(map(sampled_thinking_tokens, units.values()))
    assert number_in(said, r"records: ([\d,]+)") == len(records)
    assert number_in(said, r"about ([\d,]+) in all") == sampled
    assert number_in(said, r"at most ([\d,]+)") >= sampled
    written = (folder / "records.jsonl").stat().st_size / 1e6
    assert number_in(said, r"and ([\d.]+) MB") == pytest.approx(written, abs=0.06)
    again = forecast_of(arguments, capsys)
    assert f"On disk: {len(units)} units" in again
    assert "to compute, in whole or in part: 0" in again
    assert "Mean of" not in again


@pytest.mark.usefixtures("no_figures")
def test_what_other_runs_hold_is_not_computed_and_gives_the_mean(arguments, capsys, monkeypatch):
    monkeypatch.setattr("runs.forecast.PILOT_QUESTIONS", 3)
    assert run_experiment.main(arguments) == 0
    records = (run_folder(arguments) / "records.jsonl").read_text(encoding="utf-8").splitlines()
    n_units = len({tuple(json.loads(line)[name] for name in ("question_id", "permutation")) for line in records})
    said = forecast_of(with_flag(arguments, "--n-thoughts", "3"), capsys)
    assert f"On disk: 0 units; to be taken over from other runs: {n_units};" in said
    assert f"to compute, in whole or in part: {2 * n_units}\n" in said
    assert f"Mean of {n_units} units of other runs" in said
    assert "Time: about" in said
    run_folder(arguments)  # still the only one


def test_several_processes_and_a_value_behind_the_flag_are_refused(arguments, capsys, monkeypatch):
    assert run_experiment.main([*arguments, "--dry-run=1"]) == 2
    assert "--dry-run" in capsys.readouterr().err
    with pytest.raises(run_experiment.UserError, match="--dry-run needs one process, 2 were launched"):
        run_experiment.run({}, type("Group", (), {"number": 2}), is_dry=True)


