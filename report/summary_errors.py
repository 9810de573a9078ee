"""What the user reads when figures or page meet a summary.json that they cannot show."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jinja2 import UndefinedError

from basics.errors import UserError
from basics.strict_json import OTHER_SHAPE


@contextmanager
def summary_errors_told(path: Path) -> Iterator[None]:
    """Raises UserError, with the file and the fault, for whatever a summary of another shape causes."""
    try:
        yield
    except UndefinedError as error:
        fault = error.message
    except KeyError as error:
        fault = f"has no field {error}"
    except OTHER_SHAPE as error:
        fault = f"cannot be shown ({type(error).__name__}: {error})"
    else:
        return
    raise UserError(f"{path}: {fault}; run the experiment again with the same settings, it writes the summary anew")
