"""The model, loaded once: thinking up to a cap, and read-outs from the thought at any cap. Knows nothing of questions.

Keeps the promises of `model_interface.ReasoningModel` with transformers.
"""
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from basics.errors import UserError
from basics.hub_faults import HUB_ERRORS, hub_fault
from thinking.capped_decoding import CappedDecoder, Fork, Thought
from thinking.memory_estimate import VOCABULARY_CHUNK, MemoryEstimate
from thinking.model_interface import Reading, Readout, ThoughtRequest
from thinking.prompt_encoder import Prompt, PromptEncoder, hub_page, unusable
from thinking.readout_tree import TokenTree, grow_tree, readout_result

disable_progress_bar()  # of loading shards: the program has a line and a bar of its own
set_verbosity_error()  # its tables of weights that do not fit would bury the one line that says so

_CPU_ROWS = 64  # measured: fewer are slower for tiny models and with a vocabulary of 152,000 (benchmarks/README.md)
_TINY_MODEL = 5_000_000  # parameters; below, threads that wait for each other cost more than they compute


@dataclass(frozen=True)
class _Row:
    """A request with its thought and its prompts: with the think block open, with it closed; None if not needed.

    closed_columns: how many tokens the closed prompt shares with the thought's row; a reading at cap 0 forks there.
    """

    request: ThoughtRequest
    opened: Prompt | None
    closed: Prompt | None
    closed_columns: int
    thought: Thought

    def thinking_at(self, cap: int) -> list[int]:
        """Thinking tokens at the cap; in a broken thought those before the break."""
        broken_at = self.thought.broken_at
        return self.thought.sampled_ids[: cap if broken_at is None else min(cap, broken_at - 1)]

    def stopped_at(self, cap: int) -> str:
        """How the thought ends at the cap: "natural", "capped", or "none" at cap 0."""
        if cap == 0:
            return "none"
        return "natural" if self.thought.closed_at is not None and self.thought.closed_at <= cap else "capped"

    def is_broken_at(self, cap: int) -> bool:
        """Whether the thought at this cap hangs on logits that were not finite."""
        return self.thought.broken_at is not None and self.thought.broken_at <= cap


@dataclass(frozen=True)
class _Place:
    """Where a thought is read: behind so many columns of its slot, then `lead` tokens, then the tree.

    forced: how many of the tree's tokens close the thought, before the read-outs.
    """

    slot: int
    columns: int
    lead: tuple[int, ...]
    forced: int
    tree: TokenTree

    @property
    def key(self):
        """The same for readings that are the same."""
        return self.slot, self.columns, self.lead, id(self.tree)

    @property
    def fork(self) -> Fork:
        """What is fed: the lead in a row, and every node behind all of it."""
        lead, nodes = len(self.lead), len(self.tree.tokens)
        visible = np.tri(lead + nodes, dtype=bool)
        visible[lead:, lead:] = self.tree.visible
        return Fork(
            slot=self.slot,
            columns=self.columns,
            tokens=np.array([*self.lead, *self.tree.tokens]),
            depths=np.concatenate([np.arange(lead), lead + self.tree.depths]),
            visible=visible,
        )




class HuggingFaceModel:
    """A causal language model of transformers that thinks up to a cap and is read out there.

    temperature >= 0 (0 is greedy), top_p in (0, 1], top_k >= 0 (0 is off): sampling of thoughts; read-outs are exact.
    device: a processor or GPU, or "auto" to spread the layers over all GPUs; None for the first GPU if there is one.
    decoding: how decode steps run (`capped_decoding.CappedDecoder`), "" for the best on the device; in float32 no
    record depends on it, in a shorter format rounding does. Raises UserError if the weights cannot be loaded.
    """

    def __init__(
        self, encoder: PromptEncoder, temperature: float, top_p: float, top_k: int, device=None, decoding: str = ""
    ):
        self.encoder = encoder
        # torch would prefer it to flash attention on new GPUs. It plans anew for every shape, which takes tens of
        # milliseconds, and its decoding is reported to be wrong on some; benchmarks/gpu_check.py can tell.
        torch.backends.cuda.enable_cudnn_sdp(False)
        self.model = _load_weights(encoder, device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
        self.model.generation_config = GenerationConfig()  # a published repetition penalty would change the sampling
        self.device = self.model.get_input_embeddings().weight.device
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # CUDA graphs are captured on the current one
        with _one_line_for_faults(encoder):
            self.memory = MemoryEstimate(self.model, top_k)
        if self.device.type == "cpu" and self.model.num_parameters() < _TINY_MODEL:
            torch.set_num_threads(1)
        size = self.model.get_output_embeddings().weight.shape[0]
        tokenless = set(range(size)) - set(encoder.tokenizer.get_vocab().values())
        forbidden = {i for i in tokenless | encoder.control_tokens.keys() if i < size} - {encoder.think_close_id}
        one_gpu = self.device.type == "cuda" and len(self._devices()) == 1
        self.decoder = CappedDecoder(
            self.model,
            close_id=encoder.think_close_id,
            forbidden_ids=sorted(forbidden),
            pad_id=min(encoder.control_tokens, default=0),  # never attended to, so any token will do
            sampling=(temperature, top_p, top_k),
            how=decoding or ("captured" if one_gpu else "eager"),
        )
        self._trees: dict = {}
        self._closings: dict[str, tuple[int, ...]] = {}
        _check_decoder(encoder, self.model)
        with _one_line_for_faults(encoder):
            self._check_output_layer()

    @property
    def dtype(self) -> str:
        """Number format of the weights, such as "bfloat16"."""
        return str(self.model.dtype).removeprefix("torch.")

    @torch.inference_mode()
    def read_thoughts(self, requests: list[ThoughtRequest]) -> list[list[Reading]]:
        """Readings per request, as `model_interface.ReasoningModel` promises; all requests are one batch.

        An error such as torch.OutOfMemoryError passes through; the memory of the batch is free then, for a smaller one.
        """
        readings = None
        try:
            readings = self._read_thoughts([self._row(request) for request in requests])
        finally:
            if readings is None:
                self.decoder.release()
        return readings

    def _read_thoughts(self, rows):
        slots = self.decoder.think([row.thought for row in rows])
        places = [
            [self._place(slot, row, cap) for cap in row.request.caps] for slot, row in zip(slots, rows, strict=True)
        ]
        # A thought that ended by itself reads the same at every cap behind its end, so it is read once.
        readable = {
            place.key: place
            for row, of_row in zip(rows, places, strict=True)
            for cap, place in zip(row.request.caps, of_row, strict=True)
            if not row.is_broken_at(cap)
        }
        with self.decoder.timed("read-out"):
            results = dict(zip(readable, self._log_probabilities(list(readable.values())), strict=True))
        return [
            [
                self._reading(row, cap, place, None if row.is_broken_at(cap) else results[place.key])
                for cap, place in zip(row.request.caps, of_row, strict=True)
            ]
            for row, of_row in zip(rows, places, strict=True)
        ]

    def _row(self, request) -> _Row:
        opened = self.encoder.encode_prompt(request.user_text, True) if max(request.caps) > 0 else None
        closed = self.encoder.encode_prompt(request.user_text, False) if 0 in request.caps else None
        row_ids = (opened or closed).ids
        same = takewhile(lambda pair: pair[0] == pair[1], zip(row_ids, closed.ids if closed else (), strict=False))
        thought = Thought(row_ids, max(request.caps), request.random_key)
        return _Row(request, opened, closed, sum(1 for _ in same), thought)

    def _place(self, slot, row, cap) -> _Place:
        if cap == 0:
            rest = tuple(row.closed.ids[row.closed_columns :])
            return _Place(slot, row.closed_columns, (), len(rest), self._tree(rest, row.request.readouts))
        thinking, closing = row.thinking_at(cap), self._closing(row.stopped_at(cap))
        # The last token of a thought that reached its largest cap was sampled, but not fed.
        unfed = int(len(thinking) == row.thought.cap)
        columns = len(row.opened.ids) + len(thinking) - unfed
        lead = tuple(thinking[len(thinking) - unfed :])
        return _Place(slot, columns, lead, len(closing), self._tree(closing, row.request.readouts))

    def _log_probabilities(self, places):
        """Per place: {(node, token): log probability} for every step of its tree, in float64."""
        found = [None] * len(places)
        for numbers, hidden in self.decoder.read_forks([place.fork for place in places]):
            for number, values in zip(numbers, self._project(hidden, [places[n] for n in numbers]), strict=True):
                found[number] = values
        return found

    def reserve(self, tokens_per_row: int) -> None:
        """Sizes the cache for the longest row of a run, once, instead of for the longest that a batch has met."""
        self.decoder.reserve(tokens_per_row)

    def rows_that_fit(self, tokens_per_row: int) -> int:
        """Rows of a batch, >= 1: as many as a GPU's free memory holds; on a CPU a size that keeps its cores busy."""
        if self.device.type != "cuda":
            return _CPU_ROWS
        free = min(torch.cuda.mem_get_info(device)[0] for device in self._devices())
        return max(1, self.memory.rows_that_fit(free, tokens_per_row))

    def predicted_peak_bytes(self, rows: int, tokens_per_row: int) -> int:
        """Largest memory that a batch of so many rows takes at once, the weights included."""
        return self.memory.peak(rows, tokens_per_row)

    def _devices(self):
        return {parameter.device for parameter in self.model.parameters()}

    def _project(self, hidden, places):
        """Per place {(node, token): log probability}, in float32 from hidden (places, lead and nodes, size)."""
        flat = [(i, len(p.lead) + node, token) for i, p in enumerate(places) for node, token in p.tree.steps]
        reads = sorted({(index, node) for index, node, _ in flat})
        read_number = {read: number for number, read in enumerate(reads)}
        layer = self.model.get_output_embeddings()
        picked = hidden[[index for index, _ in reads], [node for _, node in reads]].float().to(layer.weight.device)
        line = torch.tensor([read_number[index, node] for index, node, _ in flat], device=picked.device)
        token_ids = torch.tensor([token for _, _, token in flat], device=picked.device)
        logits = torch.empty(len(flat), dtype=torch.float32, device=picked.device)
        total = torch.full((len(reads),), -torch.inf, dtype=torch.float64, device=picked.device)
        for start in range(0, layer.weight.shape[0], VOCABULARY_CHUNK):
            weight = layer.weight[start : start + VOCABULARY_CHUNK].float()
            chunk = picked @ weight.T
            if layer.bias is not None:
                chunk += layer.bias[start : start + VOCABULARY_CHUNK].float()
            total = torch.logaddexp(total, chunk.logsumexp(dim=-1).double())
            column = token_ids - start
            inside = (column >= 0) & (column < len(weight))
            logits = torch.where(inside, chunk[line, column.clamp(0, len(weight) - 1)], logits)
        values = iter((logits.double() - total[line]).cpu().tolist())
        return [{step: next(values) for step in place.tree.steps} for place in places]

    def _reading(self, row, cap, place, log_probability) -> Reading:
        """log_probability: of each step of the place's tree; None if the thought is broken at the cap."""
        thinking_ids, stopped, broken = row.thinking_at(cap), row.stopped_at(cap), log_probability is None
        readouts = {
            name: None if broken else readout_result(choices, log_probability)
            for name, choices in place.tree.spellings.items()
        }
        error = None
        if broken:
            error = f"logits not finite at thinking token {row.thought.broken_at}"
        elif None in readouts.values():
            error = "logits not finite in the read-out of " + ", ".join(n for n, r in readouts.items() if r is None)
        prompt = row.opened if cap else row.closed
        return Reading(
            cap=cap,
            thinking_ids=thinking_ids,
            thinking=self.encoder.decode(thinking_ids),
            stopped=None if broken else stopped,
            prompt_tokens=len(prompt.ids) - prompt.injected_tokens,
            injected_tokens=prompt.injected_tokens + len(self._closing(stopped)),
            readout_tokens=len(place.tree.tokens) - place.forced,
            readouts=readouts,
            error=error,
        )

    def _closing(self, stopped: str) -> tuple[int, ...]:
        if stopped not in self._closings:
            self._closings[stopped] = tuple(self.encoder.encode_closing(stopped))
        return self._closings[stopped]

    def _tree(self, forced: tuple[int, ...], readouts: dict[str, Readout]) -> TokenTree:
        key = (forced, tuple(readouts.items()))
        if key not in self._trees:
            encoded = {name: self.encoder.encode_readout(readout) for name, readout in readouts.items()}
            self._trees[key] = grow_tree(list(forced), encoded)
        return self._trees[key]

    @torch.inference_mode()
    def _check_output_layer(self):
        """Raises UserError if the logits are not the output layer's plain projection (scaled or capped logits)."""
        ids = torch.tensor([self.encoder.encode_plain("Answer:")], device=self.device)
        logits = self.model(input_ids=ids).logits[0, -1].float().cpu()
        hidden = self.model.base_model(input_ids=ids).last_hidden_state[0, -1]
        layer = self.model.get_output_embeddings()
        projected = layer(hidden.to(layer.weight.device)).float().cpu()
        if not torch.allclose(logits, projected, rtol=0.02, atol=0.02 * float(projected.abs().max())):
            raise UserError(
                f"model_name = {self.encoder.model_name!r}: its logits are not a plain projection of its last hidden"
                " state, so the read-outs would be wrong"
            )


def _load_weights(encoder, device):
    device_map = "auto" if device == "auto" else {"": device}
    name = encoder.model_name
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            encoder.weights_folder(),
            dtype="auto",
            device_map=device_map,
            attn_implementation="sdpa",  # takes the boolean masks that read several caps off one cache
            use_safetensors=True,  # other weight formats can run code
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # told below, in one line
            output_loading_info=True,
        )
    except torch.OutOfMemoryError as error:
        if device == "auto":
            raise UserError(f"model_name = {name!r}: out of GPU memory while loading it") from error
        raise UserError(
            f"model_name = {name!r}: it does not fit into the free memory of {device}; started without"
            " accelerate launch, the program spreads a model that is larger than one GPU over all that are visible"
        ) from error
    except (*HUB_ERRORS, SafetensorError, RuntimeError) as error:  # RuntimeError: weights of other shapes, no memory
        raise UserError(f"model_name = {name!r}: {hub_fault(error, hub_page(name))}") from error
    except Exception as error:  # a configuration that contradicts itself makes transformers raise anything
        raise UserError(f"model_name = {name!r}: {unusable('its configuration', error)}") from error
    _check_weights(name, model, loading)
    if device == "auto" and {"cpu", "disk"} & set(getattr(model, "hf_device_map", {}).values()):
        raise UserError(f"model_name = {encoder.model_name!r}: it does not fit into the memory of the GPUs")
    return model.eval()



def _check_weights(model_name, model, loading):
    """Raises UserError if weights and configuration are not of one model: transformers makes up what is missing."""
    missing = sorted(loading["missing_keys"])
    # A layer that the model does not have, though it has others like it; other weights may lie in a file unused.
    known = {re.sub(r"\d+", "0", name) for name in model.state_dict()}
    left_over = sorted(name for name in loading["unexpected_keys"] if re.sub(r"\d+", "0", name) in known)
    resized = sorted(str(name) for name, *_ in loading["mismatched_keys"])
    for names, what in (
        (resized, "its configuration gives another size to"),
        (missing, "its weights lack"),
        (left_over, "its configuration has no place for"),
    ):
        if names:
            others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            raise UserError(
                f"model_name = {model_name!r}: {what} {names[0]}{others}; config.json and the safetensors files are not"
                " of one model"
            )


@torch.inference_mode()
def _check_decoder(encoder, model):
    """Raises UserError unless decoding step by step and reading forks give what a plain forward pass gives.

    An architecture may find positions and masks in ways of its own, and would then give other readings without a word.
    """
    decoder = CappedDecoder(model, close_id=None, forbidden_ids=[], pad_id=0, sampling=(0, 1.0, 0), how="eager")
    texts = ("Answer: A", "Why is the first of these texts shorter than the second one?")
    thoughts = [Thought(encoder.encode_plain(text), 4, text) for text in texts]
    lead, one, other = (encoder.encode_plain(text)[0] for text in ("Confidence", "yes", "no"))
    # Behind the lead stand two tokens that do not see one another.
    tree = {"tokens": np.array([lead, one, other]), "depths": np.array([0, 1, 1]), "visible": np.eye(3, dtype=bool)}
    tree["visible"][:, 0] = True
    paths = ([lead], [lead, one], [lead, other])
    with _one_line_for_faults(encoder):
        ends = [len(thought.prompt_ids) + 2 for thought in thoughts]
        forks = [Fork(slot, end, **tree) for slot, end in zip(decoder.think(thoughts), ends, strict=True)]
        worst = 0.0
        for numbers, hidden in decoder.read_forks(forks):
            for number, states in zip(numbers, hidden.float(), strict=True):
                row = (thoughts[number].prompt_ids + thoughts[number].sampled_ids)[: ends[number]]
                whole = torch.stack([_last_state(model, row + path) for path in paths])
                apart = (states - whole.to(states.device)).norm(dim=-1) / whole.to(states.device).norm(dim=-1)
                worst = max(worst, apart.max().item())
    # Far above rounding, far below what a wrong position or mask does. NaN, which records carry as an error, passes.
    if worst > (1e-3 if model.dtype == torch.float32 else 0.2):
        raise UserError(
            f"model_name = {encoder.model_name!r}: read off a cache it gives other values than read whole (they differ"
            f" by {worst:.0%}), so the read-outs of this architecture ({model.config.model_type}) would be wrong"
        )


def _last_state(model, ids: list[int]):
    """Hidden state of the last token, of a plain forward pass."""
    device = model.get_input_embeddings().weight.device
    return model.base_model(input_ids=torch.tensor([ids], device=device)).last_hidden_state[0, -1].float()


@contextmanager
def _one_line_for_faults(encoder):
    """UserError for whatever a model raises that is tried out on a few tokens."""
    try:
        yield
    except UserError:
        raise
    except torch.OutOfMemoryError as error:
        raise UserError(f"model_name = {encoder.model_name!r}: out of GPU memory when it was tried out") from error
    except Exception as error:  # a stranger's architecture can fail in any way
        raise UserError(
            f"model_name = {encoder.model_name!r}: {unusable('a model of this configuration', error)}"
        ) from error
