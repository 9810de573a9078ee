"""Thoughts sampled up to a cap, in a key/value cache that stays to be read at any cap. Knows token ids only.

Every row owns a slot of the cache: token number n of the row stands in column n, written in place. So there is no
padding on the left, rows may be swapped, and what a shorter cap may see are the first columns.
"""
import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from thinking.memory_faults import is_out_of_memory, with_causes

PREFILL_TOKENS = 8192  # fed in one pass: enough to keep a GPU busy, little memory beside the cache
FORK_TOKENS = 4096  # fed in one pass of read-outs
FORKS = 128  # in one pass of read-outs: the cache of each is copied, layer by layer
_COLUMNS_STEP = 64  # a decode step attends to a multiple of it: few shapes, and aligned rows of the mask
_ROW_SIZES = 8  # numbers of rows that a padded or captured step comes in, spaced evenly up to all slots
_STEPS_UNSEEN = 8  # of decoding on a GPU before the host asks which thoughts have ended
_VOCABULARY_BLOCK = 128  # tokens whose maximum is taken before top-k


# --- sampling ----------------------------------------------------------------------------------------------------


def uniforms(random_key: str, count: int) -> np.ndarray:
    """(count,) float64 in [0, 1): Philox keyed by the SHA-256 of the key, so a shorter draw begins a longer one."""
    key = int.from_bytes(hashlib.sha256(random_key.encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key)).random(count)


def choose_tokens(scores, uniform, temperature: float, top_p: float, top_k: int):
    """Token per row, and whether its scores were usable: inverse CDF in token-id order after temperature, top-k, top-p.

    scores: (rows, vocabulary) floats, -inf where not allowed; uniform: (rows,) float64 in [0, 1). Both results are
    (rows,). temperature 0: the likeliest token. top_k 0: no top-k; of equal scores at the k-th place some are kept,
    where transformers keeps all. top_p: the smallest set of likeliest tokens that holds it. Scores are unusable if one
    of them is NaN or +inf, or if no token is allowed; the token is any then. Nothing here waits for the device.
    """
    if temperature == 0:
        likeliest, ids = scores.max(dim=-1)
        return ids, likeliest.isfinite()
    if not 0 < top_k < scores.shape[-1]:
        usable = scores.amax(dim=-1).isfinite()
        return _drawn(_probability_of_all(scores, temperature, top_p), uniform), usable
    likeliest, ids = _likeliest(scores, top_k)
    usable = likeliest[:, 0].isfinite()  # NaN comes first, as the largest
    probability = (likeliest.double() / temperature).softmax(dim=-1)
    probability = torch.where(_reached_before(probability) < top_p, probability, 0.0)
    ids, by_id = ids.sort(dim=-1)
    return ids.gather(-1, _drawn(probability.gather(-1, by_id), uniform)[:, None])[:, 0], usable


def _probability_of_all(scores, temperature, top_p):
    """(rows, vocabulary) float64 in token-id order, 0 outside of top-p. Only the float32 scores are ever sorted."""
    probability = (scores.double() / temperature).softmax(dim=-1)
    if top_p == 1:
        return probability
    ids = scores.sort(dim=-1, descending=True, stable=True).indices
    kept = _reached_before(probability.gather(-1, ids)) < top_p
    return torch.where(torch.zeros_like(kept).scatter_(-1, ids, kept), probability, 0.0)


def _reached_before(probability):
    """Sum of the probabilities in front of each, along the last dimension."""
    return probability.cumsum(dim=-1) - probability


def _drawn(probability, uniform):
    """Place per row at which the running sum of its probabilities first exceeds the uniform's share of their total."""
    cumulative = probability.cumsum(dim=-1)
    # Below the total by a hair, so that rounding can never choose a token behind the last possible one.
    target = torch.minimum(uniform.to(cumulative) * cumulative[:, -1], cumulative[:, -1] * (1 - 1e-15))
    place = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
    return place.clamp_max(probability.shape[-1] - 1)


def _likeliest(scores, k):
    """The k largest scores per row, falling, and their ids: those of the k blocks with the largest maxima hold them."""
    blocks = scores.shape[-1] // _VOCABULARY_BLOCK
    if blocks < 4 * k:
        return scores.topk(k, dim=-1)
    body = blocks * _VOCABULARY_BLOCK
    best = scores[:, :body].unflatten(-1, (blocks, _VOCABULARY_BLOCK)).amax(dim=-1).topk(k, dim=-1).indices
    inside = torch.arange(_VOCABULARY_BLOCK, device=scores.device)
    rest = torch.arange(body, scores.shape[-1], device=scores.device).expand(len(scores), -1)
    ids = torch.cat([(best[:, :, None] * _VOCABULARY_BLOCK + inside).flatten(1), rest], dim=-1)
    likeliest, place = scores.gather(-1, ids).topk(k, dim=-1)
    return likeliest, ids.gather(-1, place)


# --- the cache ---------------------------------------------------------------------------------------------------


@dataclass
class Thought:
    """A prompt and what is sampled behind it, at most `cap` tokens. random_key: what its randomness is a function of.

    sampled_ids: without the closing tag. closed_at: number of the sample that was the closing tag, from 1.
    broken_at: number of the first sample whose logits were not finite, from 1; it is among sampled_ids.
    """

    prompt_ids: list[int]
    cap: int
    random_key: str
    sampled_ids: list[int] = field(default_factory=list)
    closed_at: int | None = None
    broken_at: int | None = None


@dataclass(frozen=True)
class Fork:
    """Tokens to feed behind the first `columns` tokens of a row, without leaving a trace in it.

    slot: of the row. tokens: (nodes,) ids. depths: (nodes,) how many tokens behind the columns each stands.
    visible: (nodes, nodes) bools: which nodes a node attends to, itself among them; it sees all the columns.
    """

    slot: int
    columns: int
    tokens: np.ndarray
    depths: np.ndarray
    visible: np.ndarray


class _SlotLayer(DynamicLayer):
    """Keys and values of one layer, (rows, heads, columns, size), and what a decode step does with them."""

    def __init__(self, slots):
        super().__init__()
        self.slots = slots

    def store(self, first: int, keys, values):
        """Writes prompts into the slots from `first` on."""
        if self.keys is None:
            shape = (self.slots.rows, keys.shape[1], self.slots.columns + 1, keys.shape[3])
            # Zeros: a masked column weighs nothing, but nothing times NaN is NaN.
            self.keys, self.values = keys.new_zeros(shape), values.new_zeros((*shape[:3], values.shape[3]))
            self.is_initialized = True
        end, width = first + len(keys), keys.shape[2]
        self.keys[first:end, :, :width], self.values[first:end, :, :width] = keys, values

    def update(self, key_states, value_states, *args, **kwargs):
        """Writes one token per row into the row's target; returns views of the first rows and columns."""
        rows, columns = len(key_states), self.slots.attended
        row, target = self.slots.targets(rows, key_states.device)
        self.keys[row, :, target] = key_states[:, :, 0]
        self.values[row, :, target] = value_states[:, :, 0]
        return self.keys[:rows, :, :columns], self.values[:rows, :, :columns]


class _ForkLayer(DynamicLayer):
    """What forks attend to in one layer: a copy of their rows' columns, then their own tokens."""

    def __init__(self, stored, slot, hidden):
        super().__init__()
        self.stored, self.slot, self.hidden = stored, slot, hidden

    def update(self, key_states, value_states, *args, **kwargs):
        slot, hidden = self.slot.to(key_states.device), self.hidden.to(key_states.device)[:, None, :, None]
        columns = hidden.shape[2]
        # What lies behind a fork's columns is masked, and zeroed, since it may hold a later NaN of the same thought.
        keys = self.stored.keys[:, :, :columns].index_select(0, slot).masked_fill_(hidden, 0)
        values = self.stored.values[:, :, :columns].index_select(0, slot).masked_fill_(hidden, 0)
        return torch.cat([keys, key_states], dim=2), torch.cat([values, value_states], dim=2)


class _Slots:
    """The state of a batch on the device, at fixed addresses: a row per thought.

    token, position: (rows,) the token fed next and its column. step: (rows,) number of the sample it leads to, from 0.
    done: (rows,) whether the thought has ended; its row stays as it is. uniform, sampled, usable: (rows, columns), by
    step. Rows that hold no thought are done, at position 0. Behind the columns, the cache has one more that nothing
    ever attends to: a step may feed rows that are done, and what these would write goes there.
    """

    def __init__(self, rows: int, columns: int, layers: int, device):
        self.rows, self.columns, self.attended = rows, columns, columns
        self.cache = Cache(layers=[_SlotLayer(self) for _ in range(layers)])
        self.token, self.position, self.step, self.cap = torch.zeros((4, rows), dtype=torch.int64, device=device)
        self.done = torch.ones(rows, dtype=torch.bool, device=device)
        self.uniform = torch.zeros((rows, columns), dtype=torch.float64, device=device)
        self.sampled = torch.zeros((rows, columns), dtype=torch.int64, device=device)
        self.usable = torch.ones((rows, columns), dtype=torch.bool, device=device)
        self.target = torch.zeros(rows, dtype=torch.int64, device=device)
        self.unread = torch.tensor(columns, device=device)
        self.row_numbers = torch.arange(rows, device=device)
        self.column_numbers = torch.arange(columns, device=device)

    def clear(self):
        """Empties every slot, also of what a broken thought left there."""
        for layer in self.cache.layers:
            if layer.keys is not None:
                layer.keys.zero_()
                layer.values.zero_()
        for tensor in (self.token, self.position, self.step, self.cap):
            tensor.zero_()
        self.done.fill_(True)
        self.usable.fill_(True)

    def aim(self, rows: int, columns: int):
        """Sets what a step of the first rows attends to, and the column that each of them writes."""
        self.attended = columns
        torch.where(self.done[:rows], self.unread, self.position[:rows], out=self.target[:rows])

    def targets(self, rows: int, device):
        """Row numbers and the columns that they write, as indices on the device."""
        return self.row_numbers[:rows].to(device), self.target[:rows].to(device)

    def swap(self, some: list[int], others: list[int]):
        """Exchanges rows pairwise."""
        to, source = torch.tensor([some + others, others + some], device=self.done.device)
        state = (self.token, self.position, self.step, self.cap, self.done, self.uniform, self.sampled, self.usable)
        for tensor in (*state, *(part for layer in self.cache.layers for part in (layer.keys, layer.values))):
            tensor[to.to(tensor.device)] = tensor[source.to(tensor.device)]


# --- decoding ----------------------------------------------------------------------------------------------------


def _prefill_chunks(thoughts: list[Thought]) -> Iterator[list[Thought]]:
    """Neighbours whose prompts, padded to the longest of them, are at most PREFILL_TOKENS together, or one thought."""
    chunk, width = [], 0
    for thought in thoughts:
        wider = max(width, len(thought.prompt_ids))
        if chunk and wider * (len(chunk) + 1) > PREFILL_TOKENS:
            yield chunk
            chunk, wider = [], len(thought.prompt_ids)
        chunk.append(thought)
        width = wider
    yield chunk


def capture_graph(step, pool) -> torch.cuda.CUDAGraph:
    """CUDA graph of what `step` launches, in the memory pool of another graph (None: its own).

    Whatever is raised, the stream that was current is so again: torch leaves its own where ending a capture fails too.
    """
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, pool=pool):
            step()
    finally:
        torch.cuda.set_stream(stream)
    return graph


class CappedDecoder:
    """Samples thoughts in a loop of its own, and feeds forks of them.

    Measured against `model.generate` with the same sampling (benchmarks/README.md): no copy of the cache at every step,
    thoughts that ended leave the batch, and a step without a synchronisation, which a CUDA graph can hold.
    forbidden_ids: masked before sampling. sampling: temperature, top_p, top_k. how: "eager" steps feed the live rows;
    "padded" ones round their number up to eighths of the slots, so that steps come in few shapes; "captured" ones are
    padded and replay a CUDA graph per shape (one GPU). In float32 the three give the same records; in a shorter format
    rounding depends on the number of rows, so there they are the same in distribution only.
    """

    def __init__(self, model, close_id: int | None, forbidden_ids: list[int], pad_id: int, sampling, how: str):
        self.model, self.close_id, self.pad_id, self.sampling, self.how = model, close_id, pad_id, sampling, how
        self.device = model.get_input_embeddings().weight.device
        self._forbidden = torch.tensor(forbidden_ids, dtype=torch.int64, device=self.device)
        self._slots: _Slots | None = None
        self._reserved_columns = 0
        self._graphs: dict = {}
        # Counted since the start, for the benchmark: forward passes, tokens fed (padding included), seconds; tokens
        # sampled (closing tags included); tokens of cache that the decode steps could not do without reading.
        self.passes = {"prefill": 0, "decode": 0, "read-out": 0}
        self.fed_tokens, self.seconds = dict(self.passes), dict.fromkeys(self.passes, 0.0)
        self.sampled_tokens = self.cached_tokens_read = 0

    def reserve(self, columns: int):
        """Makes every later cache so wide at least: one that has to grow takes its CUDA graphs with it."""
        self._reserved_columns = columns

    def release(self):
        """Frees the cache; the next batch makes a new one."""
        for layer in self._slots.cache.layers if self._slots else ():
            layer.keys = layer.values = None  # slots and layers know each other, so these would wait for the collector
        self._slots, self._graphs = None, {}

    @contextmanager
    def timed(self, what: str):
        """Adds the seconds of the block to `seconds`; waits for the device at its end."""
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[what] += time.perf_counter() - started

    def think(self, thoughts: list[Thought]) -> list[int]:
        """Samples every thought up to its cap, in place; returns the slot of each, valid until the next call."""
        rows = sorted(range(len(thoughts)), key=lambda i: (thoughts[i].cap == 0, -len(thoughts[i].prompt_ids)))
        in_slot = [thoughts[i] for i in rows]
        self._make_room(len(rows), max(len(thought.prompt_ids) + thought.cap for thought in thoughts))
        live = sum(thought.cap > 0 for thought in thoughts)
        with self.timed("prefill"):
            hidden = self._prefill(in_slot)
        if live:
            with self.timed("decode"):
                self._start(in_slot[:live], hidden[:live])
                rows[:live] = self._decode(in_slot[:live], rows[:live])
        slot_of = {row: slot for slot, row in enumerate(rows)}
        self._collect([thoughts[row] for row in rows], live)
        return [slot_of[index] for index in range(len(thoughts))]

    def _make_room(self, rows, columns):
        columns = -(-max(columns, self._reserved_columns) // _COLUMNS_STEP) * _COLUMNS_STEP
        slots = self._slots
        if slots is not None and rows <= slots.rows and columns <= slots.columns:
            slots.clear()
            return
        if slots is not None:
            rows, columns = max(rows, slots.rows), max(columns, slots.columns)
            self.release()
        layers = self.model.config.get_text_config(decoder=True).num_hidden_layers
        self._slots = _Slots(rows, columns, layers, self.device)

    def _prefill(self, thoughts):
        """Feeds the prompts, padded on the right, where causal attention never looks; (rows, size) last hidden states.

        The slots are those of the order given, which should be by length.
        """
        last, first = [], 0
        for some in _prefill_chunks(thoughts):
            width = max(len(thought.prompt_ids) for thought in some)
            ids = np.full((len(some), width), self.pad_id)
            for line, thought in zip(ids, some, strict=True):
                line[: len(thought.prompt_ids)] = thought.prompt_ids
            cache = DynamicCache(config=self.model.config)
            hidden = self._feed("prefill", torch.from_numpy(ids).to(self.device), cache)
            for layer, filled in zip(self._slots.cache.layers, cache.layers, strict=True):
                layer.store(first, filled.keys, filled.values)
                filled.keys = filled.values = None
            ends = torch.tensor([len(thought.prompt_ids) - 1 for thought in some], device=hidden.device)
            last.append(hidden[torch.arange(len(some), device=hidden.device), ends])
            first += len(some)
        return torch.cat(last)

    def _start(self, thoughts, hidden):
        """Sets the state of the first rows behind their prompts and samples their first token."""
        slots, count = self._slots, len(thoughts)
        uniform = np.zeros((count, slots.columns))
        for line, thought in zip(uniform, thoughts, strict=True):
            line[: thought.cap] = uniforms(thought.random_key, thought.cap)
        slots.uniform[:count] = torch.from_numpy(uniform).to(self.device)
        caps_and_ends = [[thought.cap, len(thought.prompt_ids) - 1] for thought in thoughts]
        slots.cap[:count], slots.position[:count] = torch.tensor(caps_and_ends, device=self.device).T
        slots.done[:count] = False
        self._advance(hidden)

    def _decode(self, thoughts, rows):
        """Steps until every thought has ended, the live ones in the first slots; returns the rows in slot order."""
        rows, thoughts = list(rows), list(thoughts)
        live, step, next_check = len(thoughts), 1, 1
        while True:
            if step >= next_check:
                done = self._slots.done[:live].tolist()
                if all(done):
                    return rows
                alive = [thought for thought, ended in zip(thoughts, done, strict=False) if not ended]
                live = self._live_first(done, rows, thoughts)
                longest = max(len(thought.prompt_ids) for thought in alive)
                # No thought reaches its cap before, and on a GPU looking means waiting.
                sure = min(thought.cap for thought in alive) - step if self._looks_seldom else 1
                next_check = step + max(1, min(sure, _STEPS_UNSEEN))
            columns = -(-(longest + step) // _COLUMNS_STEP) * _COLUMNS_STEP
            self._run_step(self._rows_of(live), columns)
            step += 1

    @property
    def _looks_seldom(self):
        return self.how != "eager" or self.device.type == "cuda"

    def _rows_of(self, live):
        """Rows of a step: exactly the live ones, or the next of a few numbers."""
        if self.how == "eager":
            return live
        piece = -(-self._slots.rows // _ROW_SIZES)
        return min(-(-live // piece) * piece, self._slots.rows)

    def _live_first(self, done, rows, thoughts):
        """Moves thoughts that ended behind the live ones; returns how many rows to step. Lists are in slot order."""
        live, still = len(done), done.count(False)
        # Where steps come in a few sizes, moving rows gains nothing before the next smaller one is enough.
        if still == live or self._rows_of(still) == self._rows_of(live):
            return live
        ended = [slot for slot in range(still) if done[slot]]
        later = [slot for slot in range(still, live) if not done[slot]]
        if ended:
            self._slots.swap(ended, later)
            for one, other in zip(ended, later, strict=True):
                rows[one], rows[other] = rows[other], rows[one]
                thoughts[one], thoughts[other] = thoughts[other], thoughts[one]
        return still

    def _run_step(self, rows, columns):
        """One decode step; a CUDA graph holds it from the second time on that its shape is met."""
        self.passes["decode"] += 1
        self.fed_tokens["decode"] += rows
        shape = rows, columns
        if self.how == "captured" and shape in self._graphs and self._graphs[shape] is None:
            self._graphs[shape] = self._captured(rows, columns)
        if self.how != "captured":
            self._step(rows, columns)
        elif shape in self._graphs:
            self._graphs[shape].replay()
        else:
            self._graphs[shape] = None
            self._step(rows, columns)

    def _captured(self, rows, columns):
        """The graph of a step; None if there is none to be had, and then all steps are eager from now on."""
        pool = next((other.pool() for other in self._graphs.values() if other is not None), None)
        try:
            return capture_graph(partial(self._step, rows, columns), pool)
        except RuntimeError as error:  # a model whose forward pass asks the device for values cannot be captured
            causes = with_causes(error)
        if memory := next(filter(is_out_of_memory, causes), None):
            raise memory
        first = str(causes[-1]).partition("\n")[0]
        print(f"Decoding without CUDA graphs, which is slower: {first}", file=sys.stderr, flush=True)
        self.how, self._graphs = "eager", {}
        return None

    def _step(self, rows, columns):
        """Feeds the token of each of the first rows, which attends to so many columns, and samples the next."""
        slots = self._slots
        slots.aim(rows, columns)
        position = slots.position[:rows, None]
        hidden = slots.column_numbers[:columns] > position
        mask = torch.zeros(hidden.shape, dtype=self.model.dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)
        output = self.model.base_model(
            input_ids=slots.token[:rows, None],
            attention_mask=mask[:, None, None],
            position_ids=position,
            past_key_values=slots.cache,
            use_cache=True,
        )
        self._advance(output.last_hidden_state[:, -1])

    def _advance(self, hidden):
        """Samples a token for each of the first rows that is not done. hidden: (rows, size)."""
        slots, rows = self._slots, len(hidden)
        layer = self.model.get_output_embeddings()
        scores = layer(hidden.to(layer.weight.device)).float().to(self.device)
        scores.index_fill_(-1, self._forbidden, -torch.inf)
        step, done = slots.step[:rows, None], slots.done[:rows].clone()
        chosen, usable = choose_tokens(scores, slots.uniform[:rows].gather(1, step)[:, 0], *self.sampling)
        kept = torch.where(done, slots.sampled[:rows].gather(1, step)[:, 0], chosen)
        slots.sampled[:rows].scatter_(1, step, kept[:, None])
        usable = torch.where(done, slots.usable[:rows].gather(1, step)[:, 0], usable)
        slots.usable[:rows].scatter_(1, step, usable[:, None])
        ended = done | ~usable | (slots.step[:rows] + 1 >= slots.cap[:rows])
        if self.close_id is not None:
            ended = ended | (chosen == self.close_id)
        slots.done[:rows] = ended
        slots.token[:rows] = torch.where(ended, slots.token[:rows], chosen)
        slots.position[:rows] += ~ended
        slots.step[:rows] += ~ended

    def _collect(self, in_slot, live):
        """Writes what was sampled into the thoughts of the first slots."""
        slots = self._slots
        sampled, usable = slots.sampled[:live].cpu().numpy(), slots.usable[:live].cpu().numpy()
        for thought, ids, fine, last in zip(in_slot[:live], sampled, usable, slots.step[:live].tolist(), strict=True):
            self.sampled_tokens += last + 1
            self.cached_tokens_read += last * len(thought.prompt_ids) + last * (last + 1) // 2
            thought.sampled_ids = ids[: last + 1].tolist()
            if not fine[last]:
                thought.broken_at = last + 1
            elif ids[last] == self.close_id:
                thought.closed_at = last + 1
                thought.sampled_ids.pop()

    # --- read-outs ---

    def read_forks(self, forks: list[Fork]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Chunks of forks of like size: their numbers, and (forks, nodes, size) hidden states padded on the right."""
        order = sorted(range(len(forks)), key=lambda i: (len(forks[i].tokens), forks[i].columns))
        while order:
            count = max(1, min(FORKS, FORK_TOKENS // len(forks[order[-1]].tokens)))
            some, order = order[-count:], order[:-count]
            yield some, self._feed_forks([forks[index] for index in some])

    def _feed_forks(self, forks):
        width, columns = max(len(fork.tokens) for fork in forks), max(fork.columns for fork in forks)
        tokens = np.full((len(forks), width), self.pad_id)
        positions = np.zeros((len(forks), width), dtype=np.int64)
        visible = np.zeros((len(forks), width, columns + width), dtype=bool)
        visible[:, np.arange(width), columns + np.arange(width)] = True  # a row of nothing visible would be NaN
        for index, fork in enumerate(forks):
            nodes = len(fork.tokens)
            tokens[index, :nodes] = fork.tokens
            positions[index, :nodes] = fork.columns + fork.depths
            visible[index, :nodes, : fork.columns] = True
            visible[index, :nodes, columns : columns + nodes] = fork.visible
        slot = torch.tensor([fork.slot for fork in forks])
        hidden = torch.tensor([fork.columns for fork in forks])[:, None] <= torch.arange(columns)
        cache = Cache(layers=[_ForkLayer(layer, slot, hidden) for layer in self._slots.cache.layers])
        return self._feed(
            "read-out",
            torch.from_numpy(tokens).to(self.device),
            cache,
            attention_mask=torch.from_numpy(visible[:, None]).to(self.device),
            position_ids=torch.from_numpy(positions).to(self.device),
        )

    def _feed(self, what, ids, cache, **where):
        self.passes[what] += 1
        self.fed_tokens[what] += ids.numel()
        output = self.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True, **where)
        return output.last_hidden_state
