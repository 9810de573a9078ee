"""Signals that ask for an end: work in progress is finished first, a second Ctrl-C is at once.

Ctrl-C, SIGTERM (what a pre-empted machine sends), SIGHUP (the terminal is gone), SIGUSR1 and SIGUSR2 (what Slurm and
submitit send before the time is up). One that was ignored at the start, as SIGHUP is under `nohup`, stays so. The
state is the process's own, as its signal handlers are.
"""
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_LAUNCHER_REPEATS = 2  # seconds within which a launcher passes on the Ctrl-C that its processes had from the terminal

_received_at = 0.0
_received: int | None = None  # the first signal that asked for an end
_held_work: str | None = None  # what is finished first
_nothing_is_kept = False


class Stopped(KeyboardInterrupt):
    """A signal asked for an end. signum: its number; the exit status is 128 + signum."""

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


def listen() -> None:
    """From now on these signals raise Stopped, at once or at the end of a `held` block.

    Where nobody catches it, as while modules are imported, the process ends in the same way as where `main` does.
    """
    sys.excepthook = _on_uncaught
    for signum in _SIGNALS:
        # A shell without job control has a background process ignore Ctrl-C, and that has always ended a run.
        if signum == signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, _on_signal)


def how_to_go_on(stopped: KeyboardInterrupt) -> str:
    """What to tell the user."""
    kept_nothing = getattr(stopped, "kept_nothing", False)
    what = "nothing is kept of a dry run" if kept_nothing else "the same command goes on where it was"
    return f"{stopped or 'stopped'}; {what}"


@contextmanager
def nothing_is_kept() -> Iterator[None]:
    """Inside no work is finished first: every signal is at once."""
    global _nothing_is_kept
    _nothing_is_kept = True
    try:
        yield
    except KeyboardInterrupt as stopped:
        stopped.kept_nothing = True
        raise
    finally:
        _nothing_is_kept = False


def _on_uncaught(kind, value, traceback):
    if not isinstance(value, Stopped):
        sys.__excepthook__(kind, value, traceback)
        return
    _tell(f"{os.path.basename(sys.argv[0])}: {how_to_go_on(value)}\n")
    os._exit(128 + value.signum)


@contextmanager
def held(what: str) -> Iterator[None]:
    """A signal that comes inside is kept until the block has ended, and then raises Stopped. what: the work inside."""
    global _held_work
    _held_work = what
    try:
        yield
    except OSError as error:
        if _received is None:
            raise
        raise Stopped(_received) from error  # what is printed had nowhere to go: SIGHUP comes when the terminal is gone
    finally:
        _held_work = None
    if _received is not None:
        raise Stopped(_received)


def _on_signal(signum, _frame):
    global _received, _received_at
    if _received is not None and "LOCAL_RANK" in os.environ and time.monotonic() - _received_at < _LAUNCHER_REPEATS:
        return
    _received_at = time.monotonic()
    if _received is not None and signum == signal.SIGINT:
        os._exit(128 + signum)
    _received = _received or signum
    if _held_work is None or _nothing_is_kept:
        raise Stopped(signum)
    _tell(f"\n{signal.Signals(signum).name}: ending after {_held_work}; Ctrl-C ends at once\n")


def _tell(line: str):
    # Not `print`: it may be what the signal has interrupted, and cannot be entered twice.
    with suppress(OSError):  # nobody is there to read it
        os.write(2, line.encode())
