"""A model that a vLLM runs: the experiment's model interface over thoughts and read-outs as calls."""
from collections.abc import Callable
from dataclasses import asdict

import torch

from basics.errors import UserError
from thinking.model_interface import Reading, ThoughtRequest
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling
from thinking.thought_reader import ThoughtReader, forbidden_while_thinking
from thinking.vllm_engine.calls import Probe, Transport
from thinking.vllm_engine.engine import VllmEngine

ROWS = 256  # questions in flight unless BATCH_SIZE says otherwise
_MOST_BIASES = 1024  # forbidden tokens that vLLM takes as `logit_bias`


class VllmModel:
    """Keeps `model_interface.ReasoningModel`'s promise; any number of threads may ask at once.

    promises: what the vLLM behind the transport promised. dtype: number format that the weights must have, "auto" for
    any. Raises UserError if it cannot serve this run.
    """

    def __init__(
        self, encoder: PromptEncoder, sampling: Sampling, transport: Transport, tokens_per_row: int,
        dtype: str = "auto",
    ):  # fmt: skip
        self.encoder, self.transport = encoder, transport
        vocabulary = encoder.config.get_text_config(decoder=True).vocab_size
        forbidden_ids = forbidden_while_thinking(encoder, vocabulary)
        self.promises = transport.promises(Probe(tuple(encoder.encode_plain("Answer:")), tokens_per_row))
        if dtype not in ("auto", self.promises.dtype):
            found = f"is {self.promises.dtype}" if self.promises.dtype else "is not known: vLLM does not say it"
            raise UserError(f"DTYPE = {dtype!r}: the number format of vLLM's weights {found}; start it with --dtype")
        if not self.promises.own_draws and len(forbidden_ids) > _MOST_BIASES and encoder.can_think:
            raise UserError(
                f"model_name = {encoder.model_name!r}: {len(forbidden_ids):,} tokens may not be in a thought, and a"
                f" server without this program's logits processor can mask {_MOST_BIASES:,}; start it with the"
                " processor (docs/engines.md)"
            )
        self._engine = VllmEngine(encoder, sampling, forbidden_ids, transport, self.promises)
        self._reader = ThoughtReader(encoder, self._engine, forbidden_ids)

    @property
    def device(self) -> torch.device | None:
        """Where it computes, if on this machine."""
        return torch.device(self.promises.device_type) if self.transport.is_here else None

    def identity(self) -> dict:
        """What of the engine decides the records."""
        promises = asdict(self.promises)
        engine = {"name": "vllm"} | {name: promises[name] for name in ("own_draws", "float32_readouts", "quantisation")}
        return {"dtype": self.promises.dtype, "device_type": self.promises.device_type, "engine": engine}

    @property
    def place(self) -> dict:
        """What `config.json` says of the engine."""
        return {"name": "vllm", **self.transport.place}

    def remark(self) -> str:
        """What a run prints of the engine and of what it does not promise."""
        promises = self.promises
        line = f"Engine: {' '.join(self.transport.place.values())}"
        line += f"; weights in {promises.dtype or 'a number format that it does not say'}"
        if not promises.own_draws:
            line += "; without this program's logits processor: its own draws, so thoughts differ from other engines'"
        if not promises.float32_readouts:
            line += "; read-outs are projected in a short number format, so confidences are rounded"
        return line

    def read_thoughts(self, requests: list[ThoughtRequest]) -> list[list[Reading]]:
        """Readings per request, as `model_interface.ReasoningModel` promises."""
        return self._reader.read_thoughts(requests)

    def watch(self, told: Callable[[int], None]) -> None:
        """From now on calls `told` with the number of tokens of each thought that has ended, in the asking thread."""
        self._engine.told = told

    def close(self) -> None:
        """Ends the engine, or leaves the server; threads that still wait for an answer end with an error."""
        self.transport.close()


def connect(engine: str, encoder: PromptEncoder, tokens_per_row: int, dtype: str = "auto") -> Transport:
    """The vLLM that ENGINE names: "vllm" or a server's URL. Raises UserError if it is not there or of no use.

    dtype: number format in which vLLM loads the weights; a server has loaded them already.
    """
    if engine == "vllm":
        from thinking.vllm_engine.in_process import InProcess

        return InProcess(encoder, tokens_per_row, dtype)
    from thinking.vllm_engine.server import Server

    return Server(engine, encoder)
