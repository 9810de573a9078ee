"""The one exception that the user is meant to read."""


class UserError(Exception):
    """A mistake that the user can mend: one line that names the setting or row, what was found and what is allowed.

    `run_experiment.py` prints it on stderr and ends with exit status 2.
    """
