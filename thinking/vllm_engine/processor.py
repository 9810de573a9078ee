"""vLLM's logits processor that draws this program's tokens.

Loaded by `--logits-processors thinking.vllm_engine.processor:OwnDraws`.

Runs inside vLLM, in both of its model runners: V1 keeps a request's state by its row, V2 by its slot. An exception in
`apply` ends the whole server, so a request is checked before it is taken in.
"""
from vllm.v1.sample.logits_processor import LogitsProcessor as ProcessorV1
from vllm.v1.sample.logits_processor import MoveDirectionality
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as ProcessorV2

from thinking.vllm_engine import draws
from thinking.vllm_engine.draws import Draws


class OwnDraws(ProcessorV1, ProcessorV2):
    """Leaves to a request that asks for it the one token that this program would draw; others pass untouched."""

    def __init__(self, vllm_config, *rest):  # V1: device, is_pin_memory; V2: request states
        self._states = rest[0] if len(rest) == 1 else None
        self._requests = {}  # row (V1) or slot (V2): Draws or None for a question, and in V1 the tokens so far
        self._answer_ids = draws.answer_ids(_facts(vllm_config))

    @classmethod
    def validate_params(cls, params):
        """Raises ValueError, which the user meets as status 400, for an argument that `apply` could not use."""
        text = (params.extra_args or {}).get(draws.ARGUMENT)
        if text is None:
            return
        asked = Draws.from_json(text)
        if params.temperature != 0:
            raise ValueError(f"{draws.ARGUMENT} needs temperature 0: it has drawn the token itself")
        if asked is not None and params.max_tokens != asked.cap:
            raise ValueError(f"{draws.ARGUMENT}: max_tokens is {params.max_tokens}, its cap {asked.cap}")

    def is_argmax_invariant(self):
        """Greedy decoding must run it."""
        return False

    def update_state(self, batch_update):
        """V1: the rows of the batch have changed."""
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._requests.pop(row, None)
        for row, params, _, tokens in batch_update.added:
            self._begin(row, params, tokens)
        for source, to, how in batch_update.moved:
            moved, other = self._requests.pop(source, None), self._requests.pop(to, None)
            if moved is not None:
                self._requests[to] = moved
            if other is not None and how == MoveDirectionality.SWAP:
                self._requests[source] = other

    def add_request(self, slot, params):
        """V2: a slot has a new request; whether `apply` is needed for it."""
        return self._begin(slot, params, None)

    def _begin(self, key, params, tokens):
        self._requests.pop(key, None)
        text = (params.extra_args or {}).get(draws.ARGUMENT)
        if text is not None:
            self._requests[key] = Draws.from_json(text), tokens
        return text is not None

    def apply(self, logits, context=None):
        """Logits of the batch, changed in place. Rows of prompts that are still being read have a negative step."""
        if self._requests:
            rows = self._rows(logits, context)
            draws.draw(logits, [(row, asked, step) for row, asked, step in rows if asked is not None])
            draws.answer(logits, [(row, step) for row, asked, step in rows if asked is None], self._answer_ids)
        return logits

    def _rows(self, logits, context):
        """Row, what was asked, and number of tokens so far, per request of ours in the batch."""
        if context is None:
            return [(row, asked, len(tokens)) for row, (asked, tokens) in sorted(self._requests.items())]
        # With one row per request the host knows all; with draft tokens a request has several, and the device is asked.
        slots, lengths = context.idx_mapping_np, context.seq_lens_upper_bound_np
        if len(slots) != len(logits):
            slots, lengths = context.expanded_idx_mapping.cpu().numpy(), context.pos.cpu().numpy() + 1
        return [
            (row, self._requests[slot][0], int(length) - int(self._states.prompt_len.np[slot]))
            for row, (slot, length) in enumerate(zip(slots.tolist(), lengths, strict=True))
            if slot in self._requests
        ]


def _facts(vllm_config) -> dict[str, str | None]:
    """What decides the numbers, for the identity of a run: short texts."""
    model = vllm_config.model_config
    return {
        "version": draws.version(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "head": str(model.head_dtype).removeprefix("torch."),
        "device": vllm_config.device_config.device_type,
        "quantisation": model.quantization,
        "logprobs": model.logprobs_mode,
    }
