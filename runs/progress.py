"""How far a run is: what each process reports of its share, and how the sum is shown on a terminal or in a log."""
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from shutil import get_terminal_size

from runs.budgets import Cell

PARTS = 1000  # of a unit: processes add up whole numbers
_SECONDS_BETWEEN_REPORTS = 0.5
_SECONDS_BETWEEN_LINES = 30
_MOST_OF_A_BATCH = 0.99  # it counts as whole when it is on disk

Show = Callable[[int, int], None]


def most_tokens(cells: list[Cell]) -> int:
    """Thinking tokens that a unit samples at most, if all its answers agree."""
    return max(cell.answer_budget for cell in cells) + max(cell.confidence_budget for cell in cells)


class ShareProgress:
    """Reports how far a process is with its share; units that are not finished count by their sampled tokens.

    report: takes what is new, in parts of units and in sampled thinking tokens. n_units: of the share. tokens_per_unit:
    expected until the first units are finished. clock: in seconds.
    """

    def __init__(self, report: Show, n_units: int, tokens_per_unit: int, clock: Callable[[], float] = time.monotonic):
        self._report, self._left, self._clock = report, n_units, clock
        self._tokens_per_unit, self._finished, self._finished_tokens = float(tokens_per_unit), 0, 0
        self._tokens_since, self._unreported, self._reported_parts = 0, 0, 0
        self._reported_at = clock()

    def sampled(self, tokens: int, at_once: int) -> None:
        """So many more tokens of thoughts in progress. at_once: units in progress, at most."""
        self._tokens_since += tokens
        self._unreported += tokens
        if self._clock() - self._reported_at < _SECONDS_BETWEEN_REPORTS:
            return
        begun = self._tokens_since / self._tokens_per_unit if self._tokens_per_unit else 0
        begun = min(begun, _MOST_OF_A_BATCH * min(at_once, self._left))
        self._send(max(self._reported_parts, int(PARTS * (self._finished + begun))))

    def finished(self, units: int, tokens: int) -> None:
        """So many more units are on disk, with so many thinking tokens in their records."""
        self._finished += units
        self._left -= units
        self._finished_tokens += tokens
        if self._finished:
            self._tokens_per_unit = self._finished_tokens / self._finished
        self._tokens_since = 0
        last = self._reported_parts if self._left else 0
        self._send(max(last, PARTS * self._finished))

    def _send(self, parts: int) -> None:
        self._report(parts - self._reported_parts, self._unreported)
        self._reported_parts, self._unreported, self._reported_at = parts, 0, self._clock()


def summed(show: Show) -> Show:
    """Takes what is new and shows the sums so far: for a run of a single process."""
    sums = Counter()

    def report(parts, tokens):
        sums.update(parts=parts, tokens=tokens)
        show(sums["parts"], sums["tokens"])

    return report


@contextmanager
def shown_progress(n_units: int, n_before: int, stream=None) -> Iterator[Show]:
    """A function that shows the parts of units computed and the tokens sampled so far, of all processes.

    n_units: of the run; n_before: of these, on disk before. stream: None for standard error. On a terminal a bar moves;
    elsewhere there is a line now and then, and one at the end.
    """
    stream = stream or sys.stderr
    if n_before == n_units:
        yield lambda parts, tokens: None
    elif stream.isatty():
        with _bar(n_units, n_before, stream) as show:
            yield show
    else:
        lines = ProgressLines(n_units, n_before, stream)
        yield lines.show
        lines.end()


@contextmanager
def _bar(n_units, n_before, stream) -> Iterator[Show]:
    from tqdm import tqdm

    # smoothing=0: the time left follows the mean speed, since a batch begins fast and ends slowly.
    # ncols, nrows: a terminal that says it has no columns or no rows would show nothing.
    ncols, nrows = get_terminal_size()
    how = {"desc": "units", "unit": "", "file": stream, "smoothing": 0, "ncols": ncols, "nrows": nrows}
    with tqdm(total=n_units, initial=n_before, **how) as bar:
        started = time.monotonic()

        def show(parts, tokens):
            bar.set_postfix_str(_rate(tokens, time.monotonic() - started), refresh=False)
            units = n_before + parts / PARTS
            bar.n = int(units) if units == int(units) else round(units, 1)
            bar.refresh()

        yield show


class ProgressLines:
    """Writes a line half a minute after the last one, without carriage returns: for log files.

    clock: in seconds; now: the time of day.
    """

    def __init__(self, n_units: int, n_before: int, stream, clock=time.monotonic, now=datetime.now):
        self._n_units, self._n_before, self._stream, self._clock, self._now = n_units, n_before, stream, clock, now
        self._started = self._written_at = clock()
        self._parts = self._tokens = 0

    def show(self, parts: int, tokens: int) -> None:
        """Of all processes, computed so far; a line if it is time."""
        self._parts, self._tokens = parts, tokens
        if self._clock() - self._written_at >= _SECONDS_BETWEEN_LINES:
            self._written_at = self._clock()
            self._write(self._time_left())

    def end(self) -> None:
        """The last line."""
        self._write(f"took {_words(self._clock() - self._started)}")

    def _time_left(self):
        left = (self._n_units - self._n_before) * PARTS - self._parts
        if not self._parts:
            return "time left not known yet"
        return f"{_words((self._clock() - self._started) * left / self._parts)} left"

    def _write(self, time_words):
        units = self._n_before + self._parts / PARTS
        rate = _rate(self._tokens, self._clock() - self._started)
        print(
            f"{self._now():%H:%M:%S}  {int(units):,} of {self._n_units:,} units, {int(100 * units / self._n_units)}%,"
            f" {rate}, {time_words}",
            file=self._stream,
            flush=True,
        )


def _rate(tokens, seconds):
    return f"{tokens / seconds if seconds > 0 else 0:,.0f} thinking tokens/s"


def _words(seconds):
    """A duration as it is said: seconds below a minute and a half, then minutes, then hours and minutes."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
