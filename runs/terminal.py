"""What the programs say on a terminal: in whatever encoding it has, and in one line where a package is missing."""
import os
import sys
from pathlib import Path

from basics.errors import one_line


def set_up() -> None:
    """For a program that begins: whatever it prints can be printed, and a missing package is one line.

    Call it before what is not in Python's own library is imported.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the encoding lacks must not end a run
    sys.excepthook = _one_line_for_imports(sys.excepthook)


def import_fault(error: ImportError) -> str:
    """Which package cannot be imported, and what to do."""
    found = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported ({error})"
    name = (error.name or "").partition(".")[0]
    return (
        f"the package {name or 'named here'!r} {found}; this is {sys.executable}: start the program with `make demo` or"
        " `make run`, which install what is missing, or run `pip install -r requirements.txt`"
    )


def _one_line_for_imports(otherwise):
    def hook(kind, error, traceback):
        if not isinstance(error, ImportError):
            otherwise(kind, error, traceback)
            return
        print(f"{Path(sys.argv[0]).name}: {one_line(import_fault(error))}", file=sys.stderr, flush=True)
        os._exit(2)  # an exception hook cannot set the exit status otherwise

    return hook
