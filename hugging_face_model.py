"""The model, loaded once: capped thinking and read-outs at any cap. Knows nothing of questions.

    model = HuggingFaceModel(PromptEncoder.load("Qwen/Qwen3-4B"), Sampling(temperature=0.6, top_p=0.95, top_k=20))
    readings = model.read_thoughts([ThoughtRequest(...)])

The types of requests and readings are in `thinking/model_interface.py`.
"""
import os
from collections.abc import Callable

import psutil
import torch

from thinking.capped_decoding import FORKS
from thinking.model_interface import Reading, ThoughtRequest
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling
from thinking.thought_reader import ThoughtReader
from thinking.transformers_engine import TransformersEngine

_TINY_MODEL = 5_000_000  # parameters; below, several threads wait for each other longer than they compute


class HuggingFaceModel:
    """A causal language model of transformers that thinks up to a cap and is read out there.

    device: a CPU or GPU such as "cuda:0", or "auto" to spread the layers over all GPUs; None for the first GPU if there
    is one. decoding: how decode steps run (`thinking.capped_decoding.CappedDecoder`), "" for the best on the device; in
    float32 no record depends on it, in a shorter format rounding does. dtype: number format of the weights, "auto" for
    that of the model's files. Raises UserError if the model cannot be loaded.
    """

    def __init__(
        self, encoder: PromptEncoder, sampling: Sampling, device=None, decoding: str = "", dtype: str = "auto"
    ):
        self.encoder = encoder
        self.engine = TransformersEngine(encoder, sampling, device, decoding, dtype)
        self._reader = ThoughtReader(encoder, self.engine, self.engine.forbidden_ids)

    @property
    def device(self) -> torch.device:
        """Where the first layer is."""
        return self.engine.device

    @property
    def place(self) -> dict:
        """What `config.json` says of the engine."""
        return {"name": "transformers"}

    def identity(self) -> dict:
        """What of the engine decides the records: number format of the weights, kind of device."""
        return {"dtype": str(self.engine.model.dtype).removeprefix("torch."), "device_type": self.device.type}

    @torch.inference_mode()
    def read_thoughts(self, requests: list[ThoughtRequest]) -> list[list[Reading]]:
        """Readings per request, as `model_interface.ReasoningModel` promises; all requests are one batch.

        Errors such as torch.OutOfMemoryError pass through. The memory of the batch is free then, for a smaller one.
        """
        readings = None
        try:
            readings = self._reader.read_thoughts(requests)
        finally:
            if readings is None:
                self.engine.decoder.release()
        return readings

    def watch(self, told: Callable[[int], None]) -> None:
        """From now on calls `told` at every decode step with the number of tokens that it samples."""
        self.engine.decoder.told = told

    def limit_threads(self) -> None:
        """Sets torch to one thread, for the whole process, if the model is tiny and on a CPU.

        A number that the user set (OMP_NUM_THREADS) stays.
        """
        is_tiny = self.engine.model.num_parameters() < _TINY_MODEL
        if self.device.type == "cpu" and is_tiny and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(1)

    def reserve(self, tokens_per_row: int) -> None:
        """Sizes the cache for the longest row of a run, once, so that it never has to grow."""
        self.engine.decoder.reserve(tokens_per_row)

    def rows_that_fit(self, tokens_per_row: int) -> int:
        """Rows of a batch, >= 1, that this device should take at a time."""
        return self.engine.rows_that_fit(tokens_per_row)

    def close(self) -> None:
        """Nothing is left to end: weights and cache go with the object."""

    def predicted_peak_bytes(self, rows: int, tokens_per_row: int, readings: int = FORKS) -> int:
        """Largest memory that a batch of so many rows will take at once, with what is taken already.

        On a CPU that is this process, libraries included; on a GPU the weights. readings: of a thought, one per cap.
        """
        taken = psutil.Process().memory_info().rss if self.device.type == "cpu" else self.engine.memory.weights
        return taken + self.engine.memory.batch(rows, tokens_per_row, readings)
