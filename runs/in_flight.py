"""The computation of a run on an engine that takes requests at any time: each unit is on disk when it ends."""
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from queue import SimpleQueue

from evaluation_tool import sampled_thinking_tokens
from questions.option_orders import Unit
from runs import stop_signals
from runs.computation import Computation, compute_records

_SECONDS_BETWEEN_LOOKS = 1.0  # at what is in flight, when no unit ends


class ComputationInFlight(Computation):
    """batch_size units are always in flight, so that the engine is not idle while the last thoughts of a batch end.

    A unit's stages follow one another in a thread of its own, and its requests join the engine's queue when they are
    due. What is in flight when the run ends is lost; every unit that was finished before is on disk.
    """

    _told: Callable[[int], None] | None = None

    def watch(self, told: Callable[[int], None]) -> None:
        """As in Computation. The units' threads tell the model's tokens, this thread passes them on."""
        self._told, self._sampled = told, SimpleQueue()
        self.model.watch(self._sampled.put)

    def batches(self, units: list[Unit]) -> Iterator[tuple[int, int]]:
        """Computes the units; yields, each time some were put on disk, their number and their sampled thinking tokens.

        A signal that asks for an end is obeyed at once. Raises what the first unit raises that cannot be computed, once
        the finished ones are on disk, and UserError as in `Computation`.
        """
        left, running = iter(units), set()
        pool = ThreadPoolExecutor(self.batch_size, thread_name_prefix="unit")
        try:
            while True:
                started = time.monotonic()
                begun = islice(left, self.batch_size - len(running))
                running |= {pool.submit(self._records_of, unit) for unit in begun}
                if not running:
                    return
                done, running = wait(running, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
                self._pass_on()
                if not done:
                    self.seconds += time.monotonic() - started
                    continue
                finished = [future.result() for future in done if future.exception() is None]
                with stop_signals.held("the records that are finished"):
                    self.journal.append([self.earlier.completed(unit, computed) for unit, computed in finished])
                self.seconds += time.monotonic() - started
                yield len(finished), sum(sampled_thinking_tokens(computed) for _, computed in finished)
                self.check_errors()
                _raise_first_error(done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _pass_on(self) -> None:
        """Tells what was sampled since the last time."""
        if self._told:
            self._told(sum(self._sampled.get() for _ in range(self._sampled.qsize())))

    def _records_of(self, unit: Unit) -> tuple[Unit, list[dict]]:
        """The unit and its new records."""
        (records,) = compute_records(self.model, [unit], self.earlier.cells_left(unit), self.seed, batch_size=1)
        return unit, records


def _raise_first_error(done: set[Future]) -> None:
    for future in done:
        if error := future.exception():
            raise error
