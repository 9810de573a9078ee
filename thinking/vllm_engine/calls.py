"""What vLLM is asked and what it answers, in process or on a server, and the loop in which calls wait side by side."""
import asyncio
import threading
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Call:
    """One request to vLLM.

    prompt_ids: token ids. options: of vLLM's sampling parameters, those that are not its defaults; equal options may
    share a request over the network. own_draws: what the logits processor is told (`draws`), None for nothing.
    """

    prompt_ids: tuple[int, ...]
    options: dict
    own_draws: str | None = None


@dataclass(frozen=True)
class Completion:
    """What came back. token_ids: sampled. logprobs: by token id, of the first sample, where the call asked for any."""

    token_ids: list[int]
    logprobs: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Promises:
    """What a vLLM promises of a run; all of it is part of the run's identity.

    own_draws: whether the logits processor of this program draws the tokens; else vLLM does, from the same
    distribution, and masks are sent as `logit_bias`. float32_readouts: whether read-outs are projected to the
    vocabulary in float32. dtype, device_type: of weights and machine, such as "bfloat16" and "cuda", quantisation: of
    the weights, such as "awq"; None where nobody said.
    """

    own_draws: bool
    float32_readouts: bool
    dtype: str | None
    device_type: str | None
    quantisation: str | None


class Transport(Protocol):
    """Carries calls to a vLLM and completions back; may be used by many threads at once.

    counts: of `calls`, `prompt_tokens`, and of these `cached_tokens` where vLLM said how many it had read before.
    place: what `config.json` says of it. is_here: whether it computes on this machine.
    """

    counts: Counter
    place: dict
    is_here: bool

    def promises(self, probe: "Probe") -> Promises:
        """What this vLLM promises; asked once, before the first call."""
        ...

    def complete(self, calls: list[Call]) -> list[Completion]:
        """Completions in the order of the calls. Raises UserError if one cannot be had."""
        ...

    def close(self) -> None:
        """Ends it. Calls that still wait end with an error."""
        ...


@dataclass(frozen=True)
class Probe:
    """What a vLLM is tried with before a run: a short prompt, and the tokens of the run's longest row."""

    prompt_ids: tuple[int, ...]
    tokens_per_row: int


class Loop:
    """An event loop in a thread of its own: other threads hand in coroutines and wait for their results."""

    def __init__(self):
        self._loop, self._open, self._lock = asyncio.new_event_loop(), True, threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="vLLM calls")
        self._thread.start()

    def run(self, coroutine):
        """Result of the coroutine. Raises what it raises, and CancelledError if the loop is closed meanwhile."""
        with self._lock:
            if not self._open:
                coroutine.close()
                raise CancelledError("the engine was closed")
            waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return waiting.result()

    def run_each(self, function, arguments: list) -> list:
        """What the coroutine function gives for each argument, side by side; the first error ends the others."""
        return self.run(_each(function, arguments))

    def close(self, last=None) -> None:
        """Ends whatever still runs, and runs the coroutine function `last`. Threads that wait get CancelledError."""
        with self._lock:
            was_open, self._open = self._open, False
        if not was_open:
            return
        asyncio.run_coroutine_threadsafe(self._end_all(last), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end_all(self, last):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if last is not None:
            await last()


async def _each(function, arguments: list) -> list:
    tasks = [asyncio.ensure_future(function(argument)) for argument in arguments]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # an error of another one is not left unread
