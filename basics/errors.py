"""The one exception whose message the user reads."""

_MOST_SHOWN = 1000  # characters of a message; a file can hold field names and ids of any length


class UserError(Exception):
    """What the user can fix: one line that names the setting, row or file, what was found and what is allowed.

    `run_experiment.py` prints it on stderr and ends with exit status 2. example: lines of a file as it should be, which
    are printed below the message.
    """

    def __init__(self, message: str, example: tuple[str, ...] = ()):
        super().__init__(message)
        self.example = example


def one_line(text: str) -> str:
    """The text on one line of at most 1,000 characters. Spells out what could control a terminal: escape sequences, and
    marks that reverse the direction of writing."""
    return printable(text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + " ...")


def printable(text: str) -> str:
    """The text with everything spelled out that could control a terminal, ends of lines included."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
