"""Files of the program: written whole or not at all, flushed to disk, and never through a symbolic link.

Otherwise a link in a results folder could make the program overwrite any other file.
"""
import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from basics.errors import UserError


def write_json(path: Path, value) -> None:
    """Writes strict JSON, never half a file. Raises UserError."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with written_anew(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def written_anew(path: Path, mode: str = "b", **how) -> Iterator[IO]:
    """A new file under a temporary name; the end flushes it to disk and renames it to the path: never half a file.

    how: further arguments of `open`. Raises OSError.
    """
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # left by a process that died
    try:
        with open(temporary, "x" + mode, **how) as file:  # "x" fails if somebody put a link there
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # whatever ends the write, Ctrl-C too: no half file stays, and the error goes on
        temporary.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Makes the folder if there is none. Raises OSError, also for a link to a folder."""
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def reason(error: OSError) -> str:
    """Why a file or folder cannot be used."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link, and nothing is written through one"
    return error.strerror or str(error)


def open_own(path: Path, mode: str) -> IO:
    """Opens or makes a file in the run folder. Raises OSError, also for a link."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666), buffering=0)


def cannot_write(path: Path, error: OSError) -> UserError:
    """The line for a run folder that cannot be written to."""
    return UserError(
        f"{path}: cannot be written ({reason(error)}); what was computed before is kept, and the same command goes on"
        " there once this is fixed"
    )
