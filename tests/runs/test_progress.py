import io
import os
import pty
import sys
from datetime import datetime

from runs.budgets import make_cells
from runs.progress import PARTS, ProgressLines, ShareProgress, most_tokens, shown_progress, summed


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


def share(n_units, tokens_per_unit):
    """A share's progress, what it reports, and its clock."""
    clock, reports = Clock(), []
    return ShareProgress(lambda *new: reports.append(new), n_units, tokens_per_unit, clock), reports, clock


def test_the_progress_of_a_single_process_is_the_sum_of_what_it_reports():
    shown = []
    report = summed(lambda *so_far: shown.append(so_far))
    for new in ((500, 40), (0, 10), (1500, 0)):
        report(*new)
    assert shown == [(500, 40), (500, 50), (2000, 50)]


def test_the_most_tokens_of_a_unit_are_those_of_its_largest_caps():
    assert most_tokens(make_cells([0, 200], [0.25, 0.5])) == 100 + 150


def test_a_batch_counts_by_its_tokens_until_it_is_on_disk():
    progress, reports, clock = share(10, tokens_per_unit=100)
    progress.sampled(60, at_once=5)
    assert reports == []  # too soon
    clock.seconds += 1
    progress.sampled(60, at_once=5)
    assert reports == [(1200, 120)]  # 1.2 units
    progress.finished(5, 400)
    assert reports == [(1200, 120), (3800, 0)]


def test_after_the_first_batch_units_count_by_the_tokens_that_units_took():
    progress, reports, clock = share(10, tokens_per_unit=100)
    progress.finished(5, 100)
    clock.seconds += 1
    progress.sampled(30, at_once=5)
    assert reports[-1] == (1500, 30)  # 20 tokens a unit


def test_a_batch_in_progress_is_never_whole_and_progress_never_falls():
    progress, reports, clock = share(10, tokens_per_unit=100)
    clock.seconds += 1
    progress.sampled(10_000, at_once=8)
    assert reports == [(7920, 10_000)]
    progress.finished(4, 5_000)  # the batch was halved for want of memory
    assert sum(parts for parts, _ in reports) == 7920
    clock.seconds += 1
    progress.sampled(1, at_once=4)
    assert sum(parts for parts, _ in reports) == 7920
    progress.finished(6, 1_000)
    assert sum(parts for parts, _ in reports) == 10_000
    assert sum(tokens for _, tokens in reports) == 10_001


def test_without_thinking_only_whole_units_count():
    progress, reports, clock = share(4, tokens_per_unit=0)
    clock.seconds += 1
    progress.sampled(0, at_once=2)
    progress.finished(2, 0)
    clock.seconds += 1
    progress.sampled(0, at_once=2)
    assert [parts for parts, _ in reports] == [0, 2000, 0]


def test_a_log_has_a_line_every_half_minute_with_the_time_left_and_one_at_the_end():
    clock, stream = Clock(), io.StringIO()
    lines = ProgressLines(5000, 1000, stream, clock, lambda: datetime(2026, 1, 2, 12, 31, 5))
    lines.show(0, 10)
    clock.seconds += 29
    lines.show(1_000, 2_900)
    assert stream.getvalue() == ""
    clock.seconds += 1
    lines.show(0, 3_000)
    clock.seconds += 29
    lines.show(200_500, 4_000)
    clock.seconds += 31
    lines.show(1_000_000, 180_000)
    clock.seconds += 6_000
    lines.show(2_000_000, 609_000)
    clock.seconds += 210
    lines.show(4_000_000, 1_260_000)
    lines.end()
    assert stream.getvalue().splitlines() == [
        "12:31:05  1,000 of 5,000 units, 20%, 100 thinking tokens/s, time left not known yet",
        "12:31:05  2,000 of 5,000 units, 40%, 2,000 thinking tokens/s, 4 min left",
        "12:31:05  3,000 of 5,000 units, 60%, 100 thinking tokens/s, 102 min left",
        "12:31:05  5,000 of 5,000 units, 100%, 200 thinking tokens/s, 0 s left",
        "12:31:05  5,000 of 5,000 units, 100%, 200 thinking tokens/s, took 105 min",
    ]


def test_where_there_is_no_terminal_nothing_is_written_over():
    stream = io.StringIO()
    with shown_progress(4, 0, stream) as show:
        show(2_000, 10)
        show(4_000, 20)
    assert "\r" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    assert "4 of 4 units, 100%" in stream.getvalue()


def test_on_a_terminal_the_bar_moves_by_parts_of_units():
    stream = Terminal()
    with shown_progress(4, 1, stream) as show:
        show(1_260, 10)
        assert "2.3/4" in stream.getvalue()
        show(3_000, 20)
    shown = stream.getvalue()
    assert "4/4" in shown
    assert "thinking tokens/s" in shown
    assert "\r" in shown


def test_a_run_with_nothing_left_shows_nothing():
    for stream in (Terminal(), io.StringIO()):
        with shown_progress(4, 4, stream) as show:
            show(0, 0)
        assert stream.getvalue() == ""


def test_a_terminal_that_says_it_has_no_columns_and_rows_still_has_a_bar(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    own, other = pty.openpty()
    with open(other, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)  # tqdm asks it alone for its size
        with shown_progress(4, 0) as show:
            show(2 * PARTS, 10)
        terminal.flush()
        shown = os.read(own, 10_000).decode()
    os.close(own)
    assert "2/4" in shown
