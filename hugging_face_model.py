"""The model, loaded once: thinking up to a cap, and read-outs from the thought at any cap. Knows nothing of questions.

Keeps the promises of `model_interface.ReasoningModel` with transformers.
"""
import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.utils.logging import disable_progress_bar

from errors import UserError
from hub_faults import HUB_ERRORS, hub_fault
from model_interface import Reading, Readout, ReadoutResult, ThoughtRequest
from prompt_encoder import Prompt, PromptEncoder, hub_page

disable_progress_bar()  # of loading shards: the program has a line and a bar of its own

_VOCABULARY_CHUNK = 16_384  # rows of the output layer projected in float32 at a time
_CPU_ROWS = 32  # measured on 2 cores: 16 and 64 were slower with a vocabulary of 152,000
_MOST_ROWS = 512  # more would only make each batch, and so what a crash can lose, longer


# --- read-outs as trees of tokens --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _TokenTree:
    """Forced tokens behind a thought, fed in one pass: the closing, then every read-out forked from its last token.

    tokens, parents: (nodes,) ints; a parent is an earlier node, -1 for the first.
    spellings: per read-out, per choice, per spelling the steps (node, token): the probability of the spelling is the
        product over its steps of the probability of the token after the node.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    spellings: dict[str, list[list[list[tuple[int, int]]]]]

    @cached_property
    def depths(self) -> np.ndarray:
        """(nodes,) number of ancestors of each node."""
        return self.visible.sum(axis=1) - 1

    @cached_property
    def steps(self) -> list[tuple[int, int]]:
        """Every (node, token) whose probability a spelling needs, each once."""
        spellings = [spelling for choices in self.spellings.values() for choice in choices for spelling in choice]
        return sorted({step for spelling in spellings for step in spelling})

    @cached_property
    def visible(self) -> np.ndarray:
        """(nodes, nodes) bools: row i is True at node i and its ancestors."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def _grow_tree(closing: list[int], readouts: dict[str, tuple[list[int], list[list[list[int]]]]]) -> _TokenTree:
    """Tree of the closing and, per read-out, its prefix tokens and the tokens of its choices' spellings.

    Without a closing (a prompt whose block is closed already) the read-outs hang on the last token of the prompt, so
    each prefix must have at least one token.
    """
    tokens, parents, spellings = [], [], {}
    children = {}

    def node_after(parent, token):
        if (parent, token) not in children:
            children[parent, token] = len(tokens)
            tokens.append(token)
            parents.append(parent)
        return children[parent, token]

    closed = -1
    for token in closing:
        closed = node_after(closed, token)
    for name, (prefix, choices) in readouts.items():
        start = closed
        for token in prefix:
            start = node_after(start, token)
        spellings[name] = []
        for choice in choices:
            spellings[name].append([])
            for spelling in choice:
                node, steps = start, []
                for token in spelling:
                    steps.append((node, token))
                    if len(steps) < len(spelling):
                        node = node_after(node, token)
                spellings[name][-1].append(steps)
    return _TokenTree(tuple(tokens), tuple(parents), spellings)


def _readout_result(choices, log_probability) -> ReadoutResult | None:
    """choices: per choice, per spelling its steps; log_probability: of each step. None if any is not finite."""
    joint = np.array(
        [sum(np.exp(sum(log_probability[step] for step in steps)) for steps in spellings) for spellings in choices]
    )
    mass = joint.sum()
    if not np.isfinite(mass) or mass <= 0:
        return None
    return ReadoutResult((joint / mass).tolist(), min(1.0, float(mass)))


# --- sampling ----------------------------------------------------------------------------------------------------


def uniforms(random_key: str, count: int) -> np.ndarray:
    """(count,) float64 in [0, 1): Philox keyed by the SHA-256 of the key, so a shorter draw begins a longer one."""
    key = int.from_bytes(hashlib.sha256(random_key.encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key)).random(count)


def choose_tokens(scores, uniform, temperature: float, top_p: float, top_k: int):
    """Token per row: inverse CDF in token-id order after temperature, top-k and top-p, in this order.

    scores: (rows, vocabulary) floats, -inf where not allowed; uniform: (rows,) float64 in [0, 1).
    temperature 0: the likeliest token. top_k 0: no top-k; of equal scores at the k-th place some are kept, where
    transformers keeps all. top_p: the smallest set of likeliest tokens that holds it.
    """
    if temperature == 0:
        return scores.argmax(dim=-1)
    likeliest, ids = scores.topk(min(top_k, scores.shape[-1]) or scores.shape[-1], dim=-1)
    probability = (likeliest.double() / temperature).softmax(dim=-1)
    reached_before = probability.cumsum(dim=-1) - probability
    probability = torch.where(reached_before < top_p, probability, 0.0)
    ids, by_id = ids.sort(dim=-1)
    cumulative = probability.gather(-1, by_id).cumsum(dim=-1)
    # Below the total by a hair, so that rounding can never choose a token behind the last possible one.
    target = torch.minimum(uniform.to(cumulative) * cumulative[:, -1], cumulative[:, -1] * (1 - 1e-15))
    chosen = (cumulative <= target[:, None]).sum(dim=-1, keepdim=True).clamp_max(ids.shape[-1] - 1)
    return ids.gather(-1, chosen).squeeze(-1)


class _RowSampling(LogitsProcessor):
    """Leaves each row one possible token, chosen with the row's own uniform of this step.

    `finite` collects, per step, a (rows,) bool tensor: whether the row's scores were usable.
    """

    def __init__(self, forbidden_ids, uniform, prompt_columns, temperature, top_p, top_k):
        self.forbidden_ids, self.uniform, self.prompt_columns = forbidden_ids, uniform, prompt_columns
        self.sampling = (temperature, top_p, top_k)
        self.finite = []

    def __call__(self, input_ids, scores):
        scores = scores.index_fill(-1, self.forbidden_ids, -torch.inf)
        self.finite.append(scores.amax(dim=-1).isfinite())
        step = input_ids.shape[1] - self.prompt_columns
        chosen = choose_tokens(scores.nan_to_num(nan=-torch.inf), self.uniform[:, step], *self.sampling)
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen[:, None], 0.0)


class _RowCaps(StoppingCriteria):
    """Stops each row at its own cap. caps: (rows,) ints."""

    def __init__(self, caps, prompt_columns):
        self.caps, self.prompt_columns = caps, prompt_columns

    def __call__(self, input_ids, scores, **kwargs):
        return self.caps <= input_ids.shape[1] - self.prompt_columns


@dataclass
class _Row:
    """One prompt of a batch: its open thought (caps > 0) or its closed block (caps == (0,))."""

    request_index: int
    prompt: Prompt
    caps: tuple[int, ...]
    sampled_ids: list[int]  # what was sampled up to the largest cap, without the closing tag
    closed_at: int | None = None  # number of the sample that was the closing tag, from 1
    broken_at: int | None = None  # number of the first sample whose logits were not finite, from 1

    def thinking_at(self, cap: int) -> list[int]:
        """Thinking tokens at the cap; in a broken thought those before the break."""
        usable = cap if self.broken_at is None else min(cap, self.broken_at - 1)
        return self.sampled_ids[:usable]

    def stopped_at(self, cap: int) -> str:
        """How the thought ends at the cap: "natural", "capped", or "none" at cap 0."""
        if cap == 0:
            return "none"
        return "natural" if self.closed_at is not None and self.closed_at <= cap else "capped"

    def is_broken_at(self, cap: int) -> bool:
        """Whether the thought at this cap hangs on logits that were not finite."""
        return self.broken_at is not None and self.broken_at <= cap


# --- the model ---------------------------------------------------------------------------------------------------


class HuggingFaceModel:
    """A causal language model of transformers that thinks up to a cap and is read out there.

    temperature >= 0 (0 is greedy), top_p in (0, 1], top_k >= 0 (0 is off): sampling of thoughts; read-outs are exact.
    Thoughts are sampled by `model.generate`; a logits processor picks the tokens, so that randomness belongs to the
    row. Raises UserError if the weights cannot be loaded.
    """

    def __init__(self, encoder: PromptEncoder, temperature: float, top_p: float, top_k: int, device=None):
        self.encoder = encoder
        self.sampling = (temperature, top_p, top_k)
        self.model = _load_weights(encoder, device)
        self._own_device = device
        self.model.generation_config = GenerationConfig()  # a published repetition penalty would change the sampling
        self.device = self.model.get_input_embeddings().weight.device
        size = self.model.get_output_embeddings().weight.shape[0]
        tokenless = set(range(size)) - set(encoder.tokenizer.get_vocab().values())
        forbidden = (tokenless | encoder.control_tokens.keys()) - {encoder.think_close_id}
        self._forbidden_ids = torch.tensor(sorted(forbidden), device=self.device)
        self._pad_id = min(encoder.control_tokens, default=0)  # never attended to, so any token will do
        self._trees: dict = {}
        self._check_output_layer()

    @property
    def dtype(self) -> str:
        """Number format of the weights, such as "bfloat16"."""
        return str(self.model.dtype).removeprefix("torch.")

    @torch.inference_mode()
    def read_thoughts(self, requests: list[ThoughtRequest]) -> list[list[Reading]]:
        """Readings per request, as `model_interface.ReasoningModel` promises; all requests are one batch."""
        thinking, closed = [], []
        for index, request in enumerate(requests):
            caps = tuple(sorted(cap for cap in request.caps if cap > 0))
            if caps:
                thinking.append(_Row(index, self.encoder.encode_prompt(request.user_text, True), caps, []))
            if 0 in request.caps:
                closed.append(_Row(index, self.encoder.encode_prompt(request.user_text, False), (0,), []))
        by_cap = [{} for _ in requests]
        for rows in (thinking, closed):
            if rows:
                cache, columns = self._sample(rows, requests) if rows is thinking else self._prefill(rows)
                self._read(rows, requests, cache, columns, by_cap)
        return [[readings[cap] for cap in request.caps] for request, readings in zip(requests, by_cap, strict=True)]

    def rows_that_fit(self, tokens_per_row: int) -> int:
        """Rows of a batch, >= 1: on a GPU as many as its free memory holds, on a CPU a size that keeps its cores busy.

        Counted twice: the row's key/value cache, the second time for what is not counted one by one (a layer of it
        copied as it grows or with its heads repeated, float64 sums of read-outs). Besides, its vocabulary scores.
        """
        if self.device.type != "cuda":
            return _CPU_ROWS
        config = self.model.config.get_text_config(decoder=True)
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        cache_bytes = 2 * config.num_hidden_layers * heads * head_size * self.model.dtype.itemsize
        score_bytes = 16 * self.model.get_output_embeddings().weight.shape[0]
        devices = [self._own_device] if self._own_device else range(torch.cuda.device_count())
        free = min(torch.cuda.mem_get_info(device)[0] for device in devices)
        rows = int(0.8 * free / (2 * cache_bytes * tokens_per_row + score_bytes))
        return max(1, min(rows, _MOST_ROWS))

    def _sample(self, rows, requests):
        """Samples each row's thought up to its largest cap; returns the filled cache and its prompt columns."""
        ids, mask = self._left_padded([row.prompt.ids for row in rows])
        columns, cache = ids.shape[1], self._new_cache()
        caps = torch.tensor([row.caps[-1] for row in rows], device=self.device)
        uniform = np.zeros((len(rows), int(caps.max())))
        for line, row in zip(uniform, rows, strict=True):
            line[: row.caps[-1]] = uniforms(requests[row.request_index].random_key, row.caps[-1])
        picking = _RowSampling(
            self._forbidden_ids, torch.from_numpy(uniform).to(self.device), columns, *self.sampling
        )
        sequences = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            logits_processor=LogitsProcessorList([picking]),
            stopping_criteria=StoppingCriteriaList([_RowCaps(caps, columns)]),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=uniform.shape[1],
                eos_token_id=self.encoder.think_close_id,
                pad_token_id=self._pad_id,
            ),
        )
        sampled = sequences[:, columns:]
        self._record_thoughts(rows, sampled.cpu().numpy(), torch.stack(picking.finite, dim=1).cpu().numpy())
        # The last sampled token has not been fed yet; a read-out at the full cap needs it in the cache.
        mask = torch.cat([mask, mask.new_ones(sampled.shape)], dim=1)
        last = (mask.sum(dim=1) - 1)[:, None]
        self.model.base_model(
            input_ids=sampled[:, -1:], attention_mask=mask, position_ids=last, past_key_values=cache, use_cache=True
        )
        return cache, columns

    def _record_thoughts(self, rows, sampled, finite):
        for row, ids, usable in zip(rows, sampled, finite, strict=True):
            ids, usable = ids[: row.caps[-1]], usable[: row.caps[-1]]
            closing = np.flatnonzero(ids == self.encoder.think_close_id)
            if len(closing):
                row.closed_at = int(closing[0]) + 1
                ids, usable = ids[: closing[0]], usable[: closing[0] + 1]
            row.sampled_ids = ids.tolist()
            if not usable.all():
                row.broken_at = int(np.flatnonzero(~usable)[0]) + 1
                row.closed_at = None

    def _prefill(self, rows):
        """Feeds prompts whose block is closed; returns the filled cache and its prompt columns."""
        ids, mask = self._left_padded([row.prompt.ids for row in rows])
        cache = self._new_cache()
        self.model.base_model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp_min(0),
            past_key_values=cache,
            use_cache=True,
        )
        return cache, ids.shape[1]

    def _read(self, rows, requests, cache, columns, by_cap):
        """Reads every row at every one of its caps: the k-th cap of all rows together, then the cache is cropped."""
        for slot in range(max(len(row.caps) for row in rows)):
            present = [slot < len(row.caps) for row in rows]
            caps = [row.caps[slot] if there else row.caps[0] for row, there in zip(rows, present, strict=True)]
            trees = [
                self._tree(row.stopped_at(cap), requests[row.request_index].readouts)
                for row, cap in zip(rows, caps, strict=True)
            ]
            log_probabilities = self._log_probabilities(rows, caps, trees, cache, columns)
            for row, cap, tree, there, log_probability in zip(
                rows, caps, trees, present, log_probabilities, strict=True
            ):
                if there:
                    by_cap[row.request_index][cap] = self._reading(row, cap, tree, log_probability)

    def _log_probabilities(self, rows, caps, trees, cache, columns):
        """Per row: {(node, token): log probability} for every step of its tree, in float64."""
        cached, width = cache.get_seq_length(), max(len(tree.tokens) for tree in trees)
        tokens = np.full((len(rows), width), self._pad_id)
        positions = np.zeros((len(rows), width), dtype=np.int64)
        visible = np.zeros((len(rows), 1, width, cached + width), dtype=bool)
        visible[:, 0, np.arange(width), cached + np.arange(width)] = True  # a row of nothing visible would be NaN
        for index, (row, cap, tree) in enumerate(zip(rows, caps, trees, strict=True)):
            nodes, thought = len(tree.tokens), len(row.thinking_at(cap))
            tokens[index, :nodes] = tree.tokens
            positions[index, :nodes] = len(row.prompt.ids) + thought + tree.depths
            visible[index, 0, :nodes, columns - len(row.prompt.ids) : columns + thought] = True
            visible[index, 0, :nodes, cached : cached + nodes] = tree.visible
        hidden = self.model.base_model(
            input_ids=torch.from_numpy(tokens).to(self.device),
            attention_mask=torch.from_numpy(visible).to(self.device),
            position_ids=torch.from_numpy(positions).to(self.device),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        cache.crop(-width)
        return self._project(hidden, [tree.steps for tree in trees])

    def _project(self, hidden, steps):
        """Per row {(node, token): log probability}, the logits computed in float32 from hidden (rows, nodes, size)."""
        flat = [(index, node, token) for index, row_steps in enumerate(steps) for node, token in row_steps]
        reads = sorted({(index, node) for index, node, _ in flat})
        read_number = {read: number for number, read in enumerate(reads)}
        layer = self.model.get_output_embeddings()
        picked = hidden[[index for index, _ in reads], [node for _, node in reads]].float().to(layer.weight.device)
        line = torch.tensor([read_number[index, node] for index, node, _ in flat], device=picked.device)
        token_ids = torch.tensor([token for _, _, token in flat], device=picked.device)
        logits = torch.empty(len(flat), dtype=torch.float32, device=picked.device)
        total = torch.full((len(reads),), -torch.inf, dtype=torch.float64, device=picked.device)
        for start in range(0, layer.weight.shape[0], _VOCABULARY_CHUNK):
            weight = layer.weight[start : start + _VOCABULARY_CHUNK].float()
            chunk = picked @ weight.T
            if layer.bias is not None:
                chunk += layer.bias[start : start + _VOCABULARY_CHUNK].float()
            total = torch.logaddexp(total, chunk.double().logsumexp(dim=-1))
            inside = (token_ids >= start) & (token_ids < start + _VOCABULARY_CHUNK)
            logits[inside] = chunk[line[inside], token_ids[inside] - start]
        values = iter((logits.double() - total[line]).cpu().tolist())
        return [{step: next(values) for step in row_steps} for row_steps in steps]

    def _reading(self, row, cap, tree, log_probability) -> Reading:
        thinking_ids = row.thinking_at(cap)
        broken = row.is_broken_at(cap)
        readouts = {
            name: None if broken else _readout_result(choices, log_probability)
            for name, choices in tree.spellings.items()
        }
        closing = len(self.encoder.encode_closing(row.stopped_at(cap)))
        error = None
        if broken:
            error = f"logits not finite at thinking token {row.broken_at}"
        elif None in readouts.values():
            error = "logits not finite in the read-out of " + ", ".join(n for n, r in readouts.items() if r is None)
        return Reading(
            cap=cap,
            thinking_ids=thinking_ids,
            thinking=self.encoder.decode(thinking_ids),
            stopped=None if broken else row.stopped_at(cap),
            prompt_tokens=len(row.prompt.ids) - row.prompt.injected_tokens,
            injected_tokens=row.prompt.injected_tokens + closing,
            readout_tokens=len(tree.tokens) - closing,
            readouts=readouts,
            error=error,
        )

    def _tree(self, stopped: str, readouts: dict[str, Readout]) -> _TokenTree:
        key = (stopped, tuple(readouts.items()))
        if key not in self._trees:
            encoded = {name: self.encoder.encode_readout(readout) for name, readout in readouts.items()}
            self._trees[key] = _grow_tree(self.encoder.encode_closing(stopped), encoded)
        return self._trees[key]

    def _left_padded(self, prompts):
        """(rows, columns) ids and mask, both int64, prompts at the right edge."""
        columns = max(len(prompt) for prompt in prompts)
        ids = np.full((len(prompts), columns), self._pad_id)
        mask = np.zeros((len(prompts), columns), dtype=np.int64)
        for index, prompt in enumerate(prompts):
            ids[index, columns - len(prompt) :] = prompt
            mask[index, columns - len(prompt) :] = 1
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def _new_cache(self):
        return DynamicCache(config=self.model.config)

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
    """device: this process's own, None in a single process, which may spread the model over all GPUs."""
    if device is None:
        several_gpus = torch.cuda.device_count() > 1
        device_map = "auto" if several_gpus else ("cuda" if torch.cuda.is_available() else "cpu")
    else:
        device_map = {"": device}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            encoder.weights_folder(),
            dtype="auto",
            device_map=device_map,
            attn_implementation="sdpa",  # takes the boolean masks that read several caps off one cache
            use_safetensors=True,  # other weight formats can run code
            trust_remote_code=False,
        )
    except torch.OutOfMemoryError as error:
        if device is None:
            raise UserError(f"model_name = {encoder.model_name!r}: out of GPU memory while loading it") from error
        raise UserError(
            f"model_name = {encoder.model_name!r}: it does not fit into {device}, and with several processes each holds"
            " the whole model; start one without accelerate launch, which spreads the model over all GPUs"
        ) from error
    except (*HUB_ERRORS, SafetensorError, RuntimeError) as error:  # RuntimeError: weights of other shapes, no memory
        name = encoder.model_name
        raise UserError(f"model_name = {name!r}: {hub_fault(error, hub_page(name))}") from error
    if {"cpu", "disk"} & set(getattr(model, "hf_device_map", {}).values()) and torch.cuda.is_available():
        raise UserError(f"model_name = {encoder.model_name!r}: it does not fit into the memory of the GPUs")
    return model.eval()

