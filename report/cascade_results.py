"""The `cascade.json` that `--cascade` leaves in the folder of the last run, as figure and page read it."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jinja2 import UndefinedError

from basics.errors import UserError
from basics.strict_json import OTHER_SHAPE, strict_json

CASCADE_FILE = "cascade.json"
_REMEDY = "run --cascade again, or delete the file"


def read_cascade(folder: Path) -> dict | None:
    """The content of the file in a run folder; None if there is none. Raises UserError if it is no JSON object."""
    path = folder / CASCADE_FILE
    try:
        content = strict_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}); {_REMEDY}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no result of a cascade; {_REMEDY}")
    return content


@contextmanager
def cascade_errors_told(folder: Path) -> Iterator[None]:
    """Raises UserError, with the file and the fault, for whatever a file of another shape causes."""
    try:
        yield
    except UndefinedError as error:
        fault = error.message
    except OTHER_SHAPE as error:
        fault = f"cannot be shown ({type(error).__name__}: {error})"
    else:
        return
    raise UserError(f"{folder / CASCADE_FILE}: {fault}; {_REMEDY}")
