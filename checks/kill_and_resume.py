"""Kills runs of a small experiment at random moments, resumes them until they are done, and compares the records.

    python -m checks.kill_and_resume --signal KILL --runs 50     # about 20 minutes on 2 quiet cores
    python -m checks.kill_and_resume --signal TERM --runs 15
    python -m checks.kill_and_resume --signal INT --runs 15

One JSON line per run, then a summary; exit status 1 if a record differs, was lost or doubled, if a kill cost more than
one batch, or if a run that was asked to end did so with another exit status. About one kill in three comes before the
first batch, the others while records are computed. Every process has another batch size.
"""
import argparse
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from scoring.record_schema import UNIT_NAMES

ROOT = Path(__file__).resolve().parents[1]

EXPERIMENT = (
    "--demo", "--n-questions", "20", "--total-budget", "60", "--answer-thinking-ratio", "0", "0.5",
)  # fmt: skip
N_CELLS = 3  # of every experiment here, the conventional arm among them
BATCH_SIZES = (1, 2, 3, 4, 6)
NEVER_INTERRUPTED = 4  # batch size of the run that the others are compared with
MOST_KILLS = 3  # of one run
TIMEOUT = 600  # seconds for a process to end


def run_logged(log: str, arguments: list[str]) -> None:
    """The real script; before each batch, the units that it will compute are appended to the log."""
    from runs import stop_signals

    stop_signals.listen()
    from runs import computation

    compute_records = computation.compute_records

    def logged(model, units, *others):
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps([unit.key for unit in units]) + "\n")
        return compute_records(model, units, *others)

    computation.compute_records = logged
    sys.argv = ["run_experiment.py", *arguments]
    runpy.run_path(str(ROOT / "run_experiment.py"), run_name="__main__")


class Attempts:
    """The processes that work on one run, one after the other."""

    def __init__(self, folder: Path, experiment: tuple[str, ...]):
        self.save_dir, self.log = folder / "results", folder / "batches.jsonl"
        self.experiment = experiment
        folder.mkdir()

    def start(self, batch_size: int) -> subprocess.Popen:
        """A process of the run; its log of batches comes to the others'."""
        flags = [*self.experiment, "--batch-size", str(batch_size), "--save-dir", str(self.save_dir)]
        command = [sys.executable, "-m", "checks.kill_and_resume", "--as-run", str(self.log), *flags]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def computed(self) -> list[int]:
        """Units per batch that was begun, by all processes so far."""
        return [len(json.loads(line)) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def wait_for_batch(self, number: int, process: subprocess.Popen) -> None:
        """Returns when this many batches have begun, or the process has ended."""
        while process.poll() is None and len(self.computed()) < number:
            time.sleep(0.01)

    def records(self) -> list[dict]:
        """All records on disk; every line must be whole."""
        paths = self.save_dir.glob("*/records.jsonl")
        return [json.loads(line) for path in paths for line in path.read_bytes().split(b"\n")[:-1]]

    def finished_units(self) -> int:
        """Complete units on disk, counted without the program's own code: every record of a unit is there."""
        n_records = Counter()
        for path in self.save_dir.glob("*/records.jsonl"):
            for line in path.read_bytes().split(b"\n")[:-1]:
                record = json.loads(line)
                n_records[tuple(record[name] for name in UNIT_NAMES)] += 1
        return sum(count == N_CELLS for count in n_records.values())


def uninterrupted(folder: Path, experiment: tuple[str, ...]) -> tuple[list[dict], float, float]:
    """Records of a run that nothing disturbs, its seconds up to the first batch, and from there to its end."""
    attempts, started = Attempts(folder, experiment), time.monotonic()
    process = attempts.start(NEVER_INTERRUPTED)
    attempts.wait_for_batch(1, process)
    begun = time.monotonic()
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, errors
    return attempts.records(), begun - started, time.monotonic() - begun


def killed_and_resumed(folder, experiment, signum, seconds, draw: random.Random) -> tuple[list[dict], dict]:
    """Records of a run that was killed up to MOST_KILLS times, and what was seen.

    seconds: up to the first batch and from there to the end, of a run that nothing disturbed.
    """
    attempts, seen = Attempts(folder, experiment), {"kills": []}
    loading, computing = seconds
    for _ in range(draw.randint(1, MOST_KILLS)):
        batch_size, before, on_disk_before = draw.choice(BATCH_SIZES), attempts.computed(), attempts.finished_units()
        process = attempts.start(batch_size)
        while_loading = draw.random() < 1 / 3
        if not while_loading:
            attempts.wait_for_batch(len(before) + 1, process)
        # The first tenth of a second belongs to the interpreter: nobody can answer a signal there.
        time.sleep(draw.uniform(0.1, loading) if while_loading else draw.uniform(0, 0.8 * computing))
        if process.poll() is not None:
            process.communicate()
            break
        process.send_signal(signum)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=TIMEOUT)
        computed = sum(attempts.computed()) - sum(before)
        on_disk = attempts.finished_units()
        seen["kills"].append({
            "batch_size": batch_size,
            "exit_status": process.returncode,
            "seconds_to_exit": round(time.monotonic() - sent, 2),
            "units_on_disk": on_disk,
            "units_lost": computed - (on_disk - on_disk_before),
            "last_line": errors.strip().split("\n")[-1][-160:],
        })  # fmt: skip
    process = attempts.start(draw.choice(BATCH_SIZES))
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, errors
    seen["computed_twice"] = sum(attempts.computed()) - attempts.finished_units()
    return attempts.records(), seen


def differences(records: list[dict], wanted: list[dict]) -> list[str]:
    """In what the records differ, order aside: ids and discrete fields not identical, floats more than 1e-5 apart."""
    names = (*UNIT_NAMES, "total_budget", "answer_thinking_ratio")
    keys = Counter(tuple(record[name] for name in names) for record in records)
    found = [f"{key} is there {count} times" for key, count in keys.items() if count > 1]
    by_key = {tuple(record[name] for name in names): record for record in records}
    for record in wanted:
        key = tuple(record[name] for name in names)
        if key not in by_key:
            found.append(f"{key} is missing")
            continue
        other = by_key.pop(key)
        found += [f"{key}: {name}" for name in record.keys() | other.keys() if not _same(record, other, name)]
    return found + [f"{key} is one too many" for key in by_key]


def _same(record, other, name):
    first, second = record.get(name), other.get(name)
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= 1e-5
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return all(_same({name: one}, {name: two}, name) for one, two in zip(first, second, strict=True))
    return first == second


def faults_of(seen: dict, signum: signal.Signals) -> list[str]:
    """What a killed run did that it should not.

    0: it was done before the signal came. -signum, 128 + signum to a shell: SIGKILL, or the interpreter itself was
    shutting down.
    """
    allowed = (0, -signum) if signum == signal.SIGKILL else (0, -signum, 128 + signum)
    return [
        f"exit status {kill['exit_status']}, {kill['units_lost']} units lost"
        for kill in seen["kills"]
        if kill["exit_status"] not in allowed or kill["units_lost"] > kill["batch_size"]
    ]


def main(argv: list[str]) -> int:
    """Runs the loop; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experiment", nargs=argparse.REMAINDER, default=list(EXPERIMENT), help="flags, three cells")
    given = parser.parse_args(argv)
    signum, draw = signal.Signals["SIG" + given.signal], random.Random(given.seed)
    n_done, n_begun, n_faults, kills, twice = 0, 0, 0, [], 0
    with tempfile.TemporaryDirectory() as folder:
        experiment = tuple(given.experiment)
        wanted, *seconds = uninterrupted(Path(folder, "uninterrupted"), experiment)
        print(f"Uninterrupted: {len(wanted)} records, {seconds[0]:.1f} s of loading, {seconds[1]:.1f} s after it")
        while n_done < given.runs:
            records, seen = killed_and_resumed(Path(folder, str(n_begun)), experiment, signum, seconds, draw)
            seen["differences"] = differences(records, wanted) + faults_of(seen, signum)
            n_begun += 1
            n_done += bool(seen["kills"])  # else it ended before the first kill came
            print(json.dumps({"run": n_done, **seen}), flush=True)
            n_faults += bool(seen["differences"])
            kills += seen["kills"]
            twice += seen["computed_twice"]
    times = sorted(kill["seconds_to_exit"] for kill in kills)
    print(json.dumps({
        "runs": given.runs, "runs_with_faults": n_faults, "kills": len(kills),
        "kills_after_the_first_record": sum(kill["units_on_disk"] > 0 for kill in kills),
        "exit_statuses": Counter(str(kill["exit_status"]) for kill in kills),
        "units_lost_per_kill": Counter(str(kill["units_lost"]) for kill in kills),
        "units_computed_twice": twice,
        "median_seconds_to_exit": times[len(times) // 2] if times else None, "most": times[-1] if times else None,
    }))  # fmt: skip
    return 1 if n_faults else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-run"]:
        run_logged(sys.argv[2], sys.argv[3:])
    else:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # a tiny model: threads only wait for each other
        sys.exit(main(sys.argv[1:]))
