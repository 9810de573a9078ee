"""Several processes: dealing and journals by hand, and the real launcher on two CPU processes."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from readings_and_records import assert_same_records
from whole_runs import SCRIPT, records_by_key, run_folder, with_flag

import run_experiment
from basics.errors import UserError
from runs.check import check_results, run_problems
from runs.journal import Journal, only_writer_of, process_journal
from runs.processes import shares_of

CELLS = [(0, None), (20, 0.5)]
KEY = ("question_id", "permutation", "thought", "total_budget", "answer_thinking_ratio")


def lines_of(*numbers):
    return "".join(
        json.dumps(dict(zip(KEY, (f"q{n}", 0, 0, *cell), strict=True)))
        + "\n"
        for n in numbers
        for cell in CELLS
    )


@pytest.mark.parametrize(("n_units", "n_processes"), [(0, 2), (1, 2), (3, 4), (100, 3)])
def test_every_unit_is_dealt_once_and_shares_weigh_the_same(n_units, n_processes):
    shares = shares_of(n_units, n_processes)
    assert sorted(index for share in shares for index in share) == list(range(n_units))
    weights = [sum(1000 - index for index in share) for share in shares]  # longest first
    if n_units == 100:
        assert max(weights) - min(weights) <= 1000


def test_a_left_journal_is_taken_over_once_without_its_torn_end(tmp_path):
    journal = Journal(tmp_path / "records.jsonl", {(f"q{n}", 0, 0) for n in range(4)}, CELLS)
    journal.path.write_text(lines_of(0, 1))
    journal = Journal(journal.path, journal.units, CELLS)
    left = process_journal(tmp_path, 1)
    left.write_text(lines_of(1, 2, 3)[:-60])
    journal.take_over(left)
    assert journal.path.read_text() == lines_of(0, 1, 2)
    assert not left.exists()


def test_a_journal_that_is_still_written_is_not_taken_over(tmp_path):
    journal, left = Journal(tmp_path / "records.jsonl", set(), CELLS), process_journal(tmp_path, 2)
    with only_writer_of(left), pytest.raises(UserError, match="is still writing there"):
        journal.take_over(left)
    assert left.exists()


def start(n_processes, arguments):
    launcher = str(Path(sys.executable).with_name("accelerate"))
    command = [launcher, "launch", "--multi_gpu", "--num_processes", str(n_processes), str(SCRIPT), *arguments]
    on_cpus = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=on_cpus)


def launch(n_processes, arguments):
    process = start(n_processes, arguments)
    out, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def process_of_rank(rank, save_dir):
    """Its number, by the environment that the launcher gave it."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # ended just now
            continue
        if save_dir.encode() in words and b"launch" not in words and f"RANK={rank}".encode() in environment:
            return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")


def test_two_processes_give_the_records_of_one_and_go_on_with_a_left_journal(finished, tmp_path):
    alone = run_folder(finished)
    shared = with_flag(finished, "--save-dir", str(tmp_path / "shared"))
    folder = tmp_path / "shared" / alone.name
    folder.mkdir(parents=True)
    process_journal(folder, 5).write_text((alone / "records.jsonl").read_text().split("\n")[0] + "\n")
    done = launch(2, shared)
    assert done.returncode == 0, done.stderr
    assert "1 of 12 units are in" in done.stdout
    assert done.stdout.count("Results: ") == 1
    assert check_results([str(folder)], lambda run: {}) == 0
    records = records_by_key(folder)
    assert len(records) == 12
    for key, record in records_by_key(alone).items():
        assert_same_records(record, records[key])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert [(one["process_index"], one["n_processes"]) for one in config["processes"]] == [(0, 2), (1, 2)]
    assert all(one["seconds"] > 0 for one in config["processes"])


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the process to kill in /proc")
def test_a_process_that_dies_ends_the_launch_and_one_process_goes_on(arguments, no_figures):
    long = with_flag(with_flag(arguments, "--n-questions", "12"), "--total-budget", "200")
    long = with_flag(with_flag(long, "--n-permutations", "4"), "--batch-size", "1")
    launched = start(2, long)
    save_dir, deadline = Path(long[long.index("--save-dir") + 1]), time.monotonic() + 300
    while launched.poll() is None and not any(path.stat().st_size for path in save_dir.glob("*/records.process-1.*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process_of_rank(1, str(save_dir)), signal.SIGKILL)
    _, errors = launched.communicate(timeout=300)
    assert launched.returncode != 0
    assert errors.count("run_experiment.py: process 1 of 2 (counted from 0) died") == 1
    folder = run_folder(long)
    kept = len(records_by_key(folder)) + len(process_journal(folder, 1).read_text().splitlines())
    assert 0 < kept < 48
    assert run_experiment.main(with_flag(long, "--batch-size", "16")) == 0
    assert len(records_by_key(folder)) == 48
    assert list(run_problems(folder)) == []


def test_more_processes_than_units_and_an_error_told_once(arguments):
    few = with_flag(with_flag(arguments, "--n-questions", "1"), "--n-permutations", "1")
    assert launch(2, few).returncode == 0
    refused = launch(2, with_flag(arguments, "--dataset", "./missing.json"))
    assert refused.returncode != 0
    assert refused.stderr.count("run_experiment.py: DATASET") == 1
