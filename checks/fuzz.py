"""Feeds hostile question files to the loader, and hostile questions to everything that shows them.

    python -m checks.fuzz loader --examples 20000                       # about 5 minutes
    python -m checks.fuzz records --examples 300                        # run folders, and --check on them
    python -m checks.fuzz records --examples 300 --page report.page:write_report

`--page MODULE:FUNCTION` names a function that takes a run folder and gives back the path of an HTML page. Ends with the
first finding, a traceback with the smallest input that shows it.
"""
import argparse
import importlib
import sys
import tempfile
import time
import warnings
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from checks import hostile_questions as hostile


def fuzz_loader(examples: int, same_draws: bool = False, long: int = 1_000_000) -> dict[str, int]:
    """Loads this many drawn files and all extreme ones; returns how many were refused and how many gave questions.

    long: characters of the extreme files' long texts. A million of them takes seconds to load.
    """
    counts = {"tried": 0, "refused": 0, "gave questions": 0}

    def load(name, suffix, content, folder):
        path = Path(folder, f"questions{suffix}")
        path.write_bytes(content)
        counts["tried"] += 1
        found = hostile.check_loading(path)
        counts["refused" if found is None else "gave questions"] += 1
        return found

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would be printed between the program's own lines
        for name, suffix, content in hostile.extreme_files(long):
            started = time.monotonic()
            load(name, suffix, content, folder)
            if time.monotonic() - started > 5:
                print(f"{name}: {time.monotonic() - started:.1f} s")

        @_drawn(examples, same_draws)
        @given(hostile.question_files())
        def drawn(file):
            load("drawn", *file, folder)

        drawn()
    return counts


def fuzz_records(examples: int, write_page=None, same_draws: bool = False) -> dict[str, int]:
    """Writes and checks this many runs of hostile questions; their pages too, if write_page makes one of a folder."""
    counts = {"tried": 0}

    @_drawn(examples, same_draws)
    @given(hostile.hostile_questions(), hostile.any_text.map(lambda text: text.encode(errors="replace").decode()),
           hostile.st.booleans())  # fmt: skip
    def drawn(questions, thought, breaks):
        counts["tried"] += 1
        with tempfile.TemporaryDirectory() as folder:
            save_dir, twin_dir = Path(folder, "results"), Path(folder, "twin")
            with hostile.only_written_under(save_dir):
                run = hostile.write_hostile_run(save_dir, questions, thought, breaks)
                hostile.check_run(run, questions)
                page = write_page and write_page(run)
            if page:
                twin = hostile.write_hostile_run(twin_dir, *hostile.harmless_twin(questions, thought), breaks)
                of_twin = Path(write_page(twin)).read_text(encoding="utf-8")
                hostile.check_page(Path(page).read_text(encoding="utf-8"), of_twin)

    drawn()
    return counts


def _drawn(examples: int, same_draws: bool):
    """Hypothesis without its clock and its memory; same_draws: the same inputs every time."""
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=same_draws,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def main(argv: list[str]) -> int:
    """Runs one fuzz and prints its counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("loader", "records"))
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--page", help="MODULE:FUNCTION")
    given_flags = parser.parse_args(argv)
    if given_flags.what == "loader":
        print(fuzz_loader(given_flags.examples))
    else:
        module, _, name = (given_flags.page or "").partition(":")
        print(fuzz_records(given_flags.examples, getattr(importlib.import_module(module), name) if module else None))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
