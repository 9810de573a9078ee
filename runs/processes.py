"""Several processes of one run (`accelerate launch`): who is who, who computes what, and who has died.

accelerate starts them and gives each its device. They meet once, at the start, and from then on talk through a small
key/value store that the main process hosts: no collective, so none runs into a time-out because another is still
thinking. With one process nothing of this exists.
"""
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from basics.errors import UserError
from runs.stop_signals import Stopped

_BEAT = 0.5  # seconds between two signs of life
_SILENCE = 60  # seconds without one after which a process counts as dead: a machine may swap, a disk may hang
_ASKED_SILENCE = 3  # the same once the launcher has asked for an end, which it does when a process has died
_LAST_WAIT = 10  # seconds that a failing main process keeps the store up, so that the others hear of it
_GOES_ON = "what was computed is kept, and the same command goes on where it was"


class ToldElsewhere(UserError):  # noqa: N818 - as UserError, a message and no fault
    """Another process prints why the run ends."""


def is_local_main() -> bool:
    """Whether this process prints what every process of its machine meets alike. Needs no torch."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def is_launched() -> bool:
    """Whether a launcher started several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def shares_of(n_units: int, n_processes: int) -> list[list[int]]:
    """Indices of units per process. Units come longest first; dealt there and back, shares weigh the same."""
    shares = [[] for _ in range(n_processes)]
    for index in range(n_units):
        turn, place = divmod(index, n_processes)
        shares[place if turn % 2 == 0 else n_processes - 1 - place].append(index)
    return shares


class OneProcess:
    """A run in a single process: the main process, with nobody to wait for."""

    index, number, is_main, device = 0, 1, True, None

    @property
    def place(self) -> dict:
        """This process among those of the run, as `config.json` has it."""
        return {"process_index": self.index, "n_processes": self.number}

    def say(self, text: str | None) -> None:
        """Prints a line, once per run; nothing for None."""
        if text is not None:
            print(text, flush=True)

    def check(self) -> None:
        """Raises UserError if another process has ended before its time."""

    def meet(self, run_name: str, entry: dict) -> list[dict]:
        """Waits for all processes; their entries for `config.json`. Raises UserError if one has another run."""
        return [entry]

    def deal(self, left: list[int]) -> list[int]:
        """Main process: deals what is left, indices of the run's units, longest first; its own share."""
        return left

    def progress(self, parts: int, tokens: int) -> tuple[int, int]:
        """Counts what this process has just computed; parts of units and sampled tokens of all processes so far."""
        self._parts, self._tokens = getattr(self, "_parts", 0) + parts, getattr(self, "_tokens", 0) + tokens
        return self._parts, self._tokens

    def others_at_work(self) -> bool:
        """Main process: whether a process has not finished its share."""
        return False

    def finished_entries(self, entry: dict) -> list[dict]:
        """Main process, once nobody is at work: the entries with their seconds."""
        return [entry]


class SeveralProcesses(OneProcess):
    """One of several. store: the key/value store; device: this process's own."""

    def __init__(self, store, index: int, number: int, device):
        self.store, self.index, self.number, self.device = store, index, number, device
        self.is_main = index == 0
        self._trouble: tuple[bool, str] | None = None  # whether somebody else tells, and what
        self._seen = {other: ("", time.monotonic()) for other in range(number) if other != index}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._keep_watch, daemon=True)
        self._watch.start()

    def say(self, text):
        """Prints a line, once per run."""
        if self.is_main:
            super().say(text)

    def check(self):
        """Raises UserError if another process has ended before its time."""
        if self._trouble is not None:
            is_told, text = self._trouble
            raise (ToldElsewhere if is_told else UserError)(text)

    def meet(self, run_name, entry):
        """As in OneProcess."""
        self._put(f"entry/{self.index}", [run_name, entry])
        entries = []
        for other in range(self.number):
            other_name, other_entry = self._wait_for(f"entry/{other}")
            if other_name != run_name:
                raise UserError(
                    f"process {other} has another run than process {self.index} ({other_name}, {run_name}): model,"
                    " questions, kind of device and settings must be the same everywhere"
                )
            entries.append(other_entry)
        return entries

    def deal(self, left):
        """As in OneProcess."""
        shares = [[left[place] for place in share] for share in shares_of(len(left), self.number)]
        for other in range(1, self.number):
            self._put(f"share/{other}", shares[other])
        return shares[0]

    def own_share(self, units: list) -> list:
        """Not the main process: its share of the run's units."""
        return [units[index] for index in self._wait_for(f"share/{self.index}")]

    def progress(self, parts, tokens):
        """As in OneProcess."""
        return self.store.add("parts", parts), self.store.add("tokens", tokens)

    def others_at_work(self):
        """As in OneProcess."""
        self.check()
        return any(self._outcome(other) is None for other in range(1, self.number))

    def finished_entries(self, entry):
        """As in OneProcess."""
        return [entry, *(self._wait_for(f"finished/{other}") for other in range(1, self.number))]

    def finish(self, entry: dict) -> None:
        """Not the main process: its share is on disk."""
        self._put(f"finished/{self.index}", entry)

    def leave(self, outcome: str) -> None:
        """Tells the others how this process ended. The main process takes the store with it, so it waits a moment."""
        # RuntimeError: the store is gone, so is the main process. Stopped: the launcher ends what is ending already.
        with suppress(RuntimeError, Stopped):
            self._put(f"outcome/{self.index}", outcome)
            until = time.monotonic() + _LAST_WAIT
            while self.is_main and outcome != "done" and time.monotonic() < until and self._may_still_ask():
                time.sleep(_BEAT)
        self._ended.set()
        self._watch.join()

    def is_first_to_fail(self, text: str) -> bool:
        """Whether this process is the one that prints why the run ends."""
        told = json.dumps([os.environ.get("GROUP_RANK", "0"), text, self.index])
        try:
            return self.store.compare_set("failure", "", told).decode() == told
        except RuntimeError:
            return True

    def after_stop(self) -> UserError | None:
        """After a signal: the reason, if it came because a process died; None if the run was only asked to end."""
        if not self.is_main:
            time.sleep(_ASKED_SILENCE)
            return self._trouble and (ToldElsewhere if self._trouble[0] else UserError)(self._trouble[1])
        time.sleep(_ASKED_SILENCE + _BEAT)
        silent = self._silent_for(_ASKED_SILENCE)
        return UserError(_died(silent, self.number)) if silent else None

    def _put(self, key, value):
        self.store.set(key, json.dumps(value))

    def _wait_for(self, key):
        while True:
            self.check()
            try:
                if self.store.check([key]):
                    return json.loads(self.store.get(key))
            except RuntimeError as error:  # DistNetworkError: the watch says who is gone
                raise self._main_is_gone() from error
            time.sleep(0.1)

    def _may_still_ask(self) -> bool:
        """Main process: whether another one is alive and has not ended."""
        open_ones = {other for other in range(1, self.number) if self._outcome(other) is None}
        return bool(open_ones - set(self._silent_for(_ASKED_SILENCE)))

    def _outcome(self, other):
        return json.loads(self.store.get(f"outcome/{other}")) if self.store.check([f"outcome/{other}"]) else None

    def _main_is_gone(self) -> UserError:
        # On the main process's machine the next one speaks, elsewhere the first.
        speaks = os.environ.get("LOCAL_RANK") == ("1" if os.environ.get("GROUP_RANK", "0") == "0" else "0")
        return (UserError if speaks else ToldElsewhere)(_died([0], self.number))

    def _keep_watch(self):
        beats = 0
        while not self._ended.wait(_BEAT):
            beats += 1
            try:
                self.store.set(f"beat/{self.index}", str(beats))
                if self.store.check(["failure"]):
                    machine, text, _ = json.loads(self.store.get("failure"))
                    speaks = machine != os.environ.get("GROUP_RANK", "0") and is_local_main()
                    self._trouble = (not speaks, text)
                elif self.is_main and (silent := self._silent_for(_SILENCE, ("failed", "stopped"))):
                    self._trouble = (False, _died(silent, self.number))
            except RuntimeError:
                error = self._main_is_gone()
                self._trouble = self._trouble or (isinstance(error, ToldElsewhere), str(error))
                return

    def _silent_for(self, seconds: float, ends: tuple = ("failed",)) -> list[int]:
        """Processes that died: no sign of life for so long, or an end that was no orderly one."""
        silent = []
        for other, (beat, since) in self._seen.items():
            outcome = self._outcome(other)
            now = self.store.get(f"beat/{other}").decode() if self.store.check([f"beat/{other}"]) else ""
            if now != beat:
                self._seen[other] = (now, time.monotonic())
            elif outcome is None and time.monotonic() - since > seconds:
                silent.append(other)
            if outcome in ends:
                silent.append(other)
        return silent


def _died(indices: list[int], number: int) -> str:
    names = ", ".join(map(str, sorted(set(indices))))
    return f"process {names} of {number} (counted from 0) died or cannot be reached; {_GOES_ON}"


@contextmanager
def process_group() -> Iterator[OneProcess]:
    """This process among those of the run. An error that only one meets ends all, and is told once."""
    if not is_launched():
        yield OneProcess()
        return
    group, outcome = _join(), "failed"
    try:
        yield group
        outcome = "done"
    except UserError as error:
        outcome = "told"
        if isinstance(error, ToldElsewhere) or not group.is_first_to_fail(str(error)):
            raise ToldElsewhere(str(error)) from error
        raise
    except Stopped as stop:
        outcome = "stopped"
        if reason := group.after_stop():
            raise reason from stop
        if not group.is_main:
            raise ToldElsewhere(str(stop)) from stop
        raise
    finally:
        group.leave(outcome)


def _join() -> SeveralProcesses:
    """Meets the other processes and gets the address of their store."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
    on_machine = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if not on_cpu and on_machine > torch.cuda.device_count():
        raise (UserError if is_local_main() else ToldElsewhere)(
            f"{on_machine} processes were launched here on {torch.cuda.device_count()} GPUs: one process per GPU is"
            " allowed (--num_processes)"
        )
    # gloo also on GPUs: what the processes say to each other is one address, and gloo needs no memory of a GPU.
    state = PartialState(cpu=on_cpu, backend="gloo")
    wait = timedelta(seconds=_SILENCE)
    store = None
    if state.is_main_process:
        store = torch.distributed.TCPStore("0.0.0.0", 0, is_master=True, wait_for_workers=False, timeout=wait)
    told = [store and store.port]
    torch.distributed.broadcast_object_list(told, src=0)
    if store is None:
        host = os.environ["MASTER_ADDR"]
        store = torch.distributed.TCPStore(host, told[0], is_master=False, wait_for_workers=False, timeout=wait)
    torch.distributed.barrier()
    state.destroy_process_group()
    device = torch.device("cpu") if on_cpu else state.device
    return SeveralProcesses(store, state.process_index, state.num_processes, device)
