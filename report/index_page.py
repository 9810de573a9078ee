"""The index of a SAVE_DIR: `index.html`, a line per run, with its answer and links to reports and comparisons."""
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from basics.errors import one_line
from basics.files import reason
from report.index_rows import comparison_rows, run_rows
from report.small_page import write_small_page

INDEX_PAGE = "index.html"
_MARK = b'<meta name="generator" content="run_experiment.py: index of a SAVE_DIR">'
_MARK_WITHIN = 2000  # bytes of the file in which the mark stands


def update_index(save_dir: Path) -> str:
    """Writes `index.html` of all runs in a folder; returns a line that says where, or why it cannot.

    It raises nothing that a disk or a run folder can cause: no run fails by its index. A file of this name that is none
    of this program stays as it is. Runs that end together write it one by one.
    """
    path = save_dir / INDEX_PAGE
    try:
        with _one_at_a_time(save_dir):
            if _is_of_another(path):
                return one_line(f"{path}: it is no index of this program, so it stays as it is")
            write_small_page(
                path, INDEX_PAGE, mark=_MARK.decode(), runs=run_rows(save_dir), comparisons=comparison_rows(save_dir)
            )
    except OSError as error:
        return one_line(f"{path}: cannot be written ({reason(error)}); the results are whole without it")
    return one_line(f"All runs: {path}")


def _is_of_another(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return _MARK not in file.read(_MARK_WITHIN)
    except FileNotFoundError:
        return False


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Holds the folder, so that who writes last has seen what the others left. Raises OSError if there is none."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a disk that knows no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
