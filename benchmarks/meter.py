"""What a decoder does, counted and timed from outside: the program itself counts nothing of this."""
import time
from contextlib import contextmanager
from functools import partial

import torch

KINDS = ("prefill", "decode", "read-out")


class Meter:
    """Counts of a `CappedDecoder` inside a `with` block, which wraps the decoder's methods.

    passes, fed_tokens (padding included), seconds: by kind of pass. sampled_tokens: closing tags included.
    cached_tokens_read: tokens of cache that the decode steps have to read at least.
    """

    def __init__(self, decoder):
        self.decoder, self._kind = decoder, None
        self.passes, self.fed_tokens = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self.sampled_tokens = self.cached_tokens_read = 0
        self._wrappers = {
            "prefill": self._timed("prefill"),
            "decode": self._timed("decode"),
            "read_forks": self._timed_generator,
            "run_step": self._counted_step,
            "think": self._counted_thoughts,
        }

    def __enter__(self):
        for name, wrapper in self._wrappers.items():
            setattr(self.decoder, name, partial(wrapper, getattr(self.decoder, name)))
        base = self.decoder.model.base_model
        self._hook = base.register_forward_pre_hook(self._count_pass, with_kwargs=True)
        return self

    def __exit__(self, *error):
        self._hook.remove()
        for name in self._wrappers:
            delattr(self.decoder, name)  # the class's own method is left

    @contextmanager
    def _during(self, kind):
        self._kind, started = kind, time.perf_counter()
        yield
        if self.decoder.device.type == "cuda":
            torch.cuda.synchronize(self.decoder.device)
        self.seconds[kind] += time.perf_counter() - started
        self._kind = None

    def _timed(self, kind):
        def run(original, *arguments):
            with self._during(kind):
                return original(*arguments)

        return run

    def _timed_generator(self, original, forks):
        # Suspended while a chunk is projected, so the projection is a part of the time.
        with self._during("read-out"):
            yield from original(forks)

    def _counted_step(self, original, rows, columns):
        self._add("decode", rows)
        original(rows, columns)

    def _count_pass(self, module, arguments, keywords):
        if self._kind in ("prefill", "read-out"):  # a step that a CUDA graph runs calls no module
            self._add(self._kind, keywords["input_ids"].numel())

    def _add(self, kind, tokens):
        self.passes[kind] += 1
        self.fed_tokens[kind] += tokens

    def _counted_thoughts(self, original, thoughts):
        original(thoughts)
        for thought in thoughts:
            samples = len(thought.sampled_ids) + (thought.closed_at is not None)
            if samples:
                fed = samples - 1  # the last sample is not fed
                self.sampled_tokens += samples
                self.cached_tokens_read += fed * len(thought.prompt_ids) + fed * samples // 2
