"""Cuts a journal at every byte of its last two lines, resumes each time, and compares the records.

    python -m checks.cut_journal                   # about 10 minutes: some 2,500 resumed runs in one process
    python -m checks.cut_journal --every 50        # every fiftieth byte

Prints the number of cuts and of those after which a record differed, was lost or doubled; exit status 1 if any did.
"""
import argparse
import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

from checks.kill_and_resume import differences
from questions.question_sets import Question
from run_experiment import compute_all
from runs.budgets import make_cells
from runs.computation import Computation, open_journal
from runs.earlier_records import EarlierRecords
from runs.journal import read_records
from runs.processes import OneProcess
from runs.units import make_units

ROOT = Path(__file__).resolve().parents[1]

SEED = 42


def cut_and_resume(model, units, cells, folder: Path, every: int) -> tuple[int, int]:
    """Numbers of cuts and of cuts with other records than before. every: bytes from one cut to the next."""
    journal = folder / "records.jsonl"
    _resume(model, units, cells, folder, 4)
    whole, wanted = journal.read_bytes(), list(read_records(journal))
    last_two = len(b"".join(whole.splitlines(keepends=True)[-2:]))
    n_cuts = n_differing = 0
    for length in range(len(whole) - last_two, len(whole), every):
        journal.write_bytes(whole[:length])
        _resume(model, units, cells, folder, 1 + n_cuts % 3)
        n_cuts += 1
        n_differing += bool(differences(list(read_records(journal)), wanted))
    return n_cuts, n_differing


def _resume(model, units, cells, folder, batch_size):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        journal = open_journal(folder / "records.jsonl", units, cells)
        computation = Computation(model, EarlierRecords(cells), SEED, batch_size, journal, len(units) * len(cells))
        compute_all(computation, units, OneProcess())


def main(argv: list[str]) -> int:
    """Cuts a journal of the demo model; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args(argv)
    from hugging_face_model import HuggingFaceModel
    from thinking.prompt_encoder import PromptEncoder
    from thinking.sampling import Sampling

    model = HuggingFaceModel(PromptEncoder.load(str(ROOT / "demo" / "model")), Sampling(0.6, 0.95, 20))
    questions = [Question(f"q{number}", f"Which {number}?", ("x", "y"), number % 2, None) for number in range(4)]
    units = make_units(questions, 1, SEED)
    with tempfile.TemporaryDirectory() as folder:
        # Two cells, so that a unit has the last two lines, and cuts leave none, one and a half of them.
        n_cuts, n_differing = cut_and_resume(model, units, make_cells([4], [0, 0.5]), Path(folder), given.every)
    print(f"{n_cuts:,} cuts, {n_differing:,} with other records")
    return 1 if n_differing else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a tiny model: threads only wait for each other
    sys.exit(main(sys.argv[1:]))
