"""Samples thoughts up to a cap, in a key/value cache that can be read at any cap afterwards. Knows token ids only."""
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from transformers import Cache, DynamicCache

from thinking.memory_faults import is_out_of_memory, with_causes
from thinking.sampling import Sampling, choose_tokens, uniforms
from thinking.slot_cache import Fork, ForkLayer, Slots, fork_lines
from thinking.thoughts import Thought

PREFILL_TOKENS = 8192  # fed in one pass: enough to keep a GPU busy, little memory beside the cache
# Tokens of padding in a pass of prompts above which another pass costs less: about what it takes to read the weights
MOST_PADDING = {"cpu": 64, "cuda": 512}
FORK_TOKENS = 4096  # fed in one pass of read-outs
FORKS = 128  # in one pass of read-outs: each needs a copy of its row's cache, layer by layer
_LEAST_FILLED = 0.8  # of the widest line of a pass of read-outs: narrower ones would be mostly padding
_COLUMNS_STEP = 64  # a decode step attends to a multiple of it: few shapes, and aligned rows of the mask
_ROW_SIZES = 8  # a padded or captured step has one of so many numbers of rows, evenly spaced up to all slots
_STEPS_UNSEEN = 8  # of decoding on a GPU before the host asks which thoughts have ended


def prefill_chunks(thoughts: list[Thought], most_padding: int) -> Iterator[list[Thought]]:
    """Neighbours whose prompts, padded to the longest of them, are fed in one pass.

    They are at most PREFILL_TOKENS with at most so many of padding; or a single thought.
    """
    chunk, width, tokens = [], 0, 0
    for thought in thoughts:
        length = len(thought.prompt_ids)
        wider = max(width, length)
        fed = wider * (len(chunk) + 1)
        if chunk and (fed > PREFILL_TOKENS or fed - tokens - length > most_padding):
            yield chunk
            chunk, wider, tokens = [], length, 0
        chunk.append(thought)
        width, tokens = wider, tokens + length
    yield chunk


def capture_graph(step, pool) -> torch.cuda.CUDAGraph:
    """CUDA graph of what `step` launches, in the memory pool of another graph (None: its own).

    Restores the current stream whatever is raised: when the end of a capture fails too, torch does not.
    """
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, pool=pool):
            step()
    finally:
        torch.cuda.set_stream(stream)
    return graph


class CappedDecoder:
    """Samples thoughts in its own loop, and feeds forks of them.

    Against `model.generate` with the same sampling (benchmarks/README.md) it does not copy the cache at every step,
    drops thoughts that ended from the batch, and never synchronises inside a step, so a CUDA graph can hold it.
    close_id: the token that ends a thought, None if there is none. forbidden_ids: masked before sampling. pad_id: fills
    short rows; nothing attends to it. how: "eager" steps feed the live rows only; "padded" steps round their number up
    to eighths of the slots, so that there are few shapes; "captured" steps are padded and replay a CUDA graph per shape
    (one GPU). In float32 all three give the same records. In a shorter format rounding depends on the number of rows,
    so there the records agree in distribution only. told: called at every step with the number of tokens that it
    samples, at most: on a GPU the host learns late which thoughts have ended.
    """

    def __init__(
        self, model, close_id: int | None, forbidden_ids: list[int], pad_id: int, sampling: Sampling, how: str
    ):
        self.model, self.close_id, self.pad_id, self.sampling, self.how = model, close_id, pad_id, sampling, how
        self.device = model.get_input_embeddings().weight.device
        self._forbidden = torch.tensor(forbidden_ids, dtype=torch.int64, device=self.device)
        self.told: Callable[[int], None] = lambda tokens: None
        self._slots: Slots | None = None
        self._reserved_columns = 0
        self._graphs: dict = {}

    def reserve(self, columns: int):
        """Gives every later cache at least so many columns: a cache that grows loses its CUDA graphs."""
        self._reserved_columns = columns

    def release(self):
        """Frees the cache; the next batch makes a new one."""
        for layer in self._slots.cache.layers if self._slots else ():
            layer.keys = layer.values = None  # slots and layers refer to each other: else the collector frees them
        self._slots, self._graphs = None, {}

    def think(self, thoughts: list[Thought]) -> None:
        """Samples every thought up to its cap, in place; the slot of each is valid until the next call."""
        rows = sorted(range(len(thoughts)), key=lambda i: (thoughts[i].cap == 0, -len(thoughts[i].prompt_ids)))
        in_slot = [thoughts[i] for i in rows]
        self._make_room(len(rows), max(len(thought.prompt_ids) + thought.cap for thought in thoughts))
        live = sum(thought.cap > 0 for thought in thoughts)
        hidden = self.prefill(in_slot)
        if live:
            rows[:live] = self.decode(in_slot[:live], rows[:live], hidden[:live])
        for slot, row in enumerate(rows):
            thoughts[row].slot = slot
        self._collect([thoughts[row] for row in rows], live)

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
        self._slots = Slots(rows, columns, layers, self.device)

    def prefill(self, thoughts: list[Thought]) -> torch.Tensor:
        """Feeds the prompts into the slots, in the order given; returns the (rows, size) last hidden states.

        Prompts are padded on the right, where causal attention never looks; in order of length they need least of it.
        """
        last, first = [], 0
        for some in prefill_chunks(thoughts, MOST_PADDING[self.device.type]):
            width = max(len(thought.prompt_ids) for thought in some)
            ids = np.full((len(some), width), self.pad_id)
            for line, thought in zip(ids, some, strict=True):
                line[: len(thought.prompt_ids)] = thought.prompt_ids
            cache = DynamicCache(config=self.model.config)
            hidden = self._feed(torch.from_numpy(ids).to(self.device), cache)
            for layer, filled in zip(self._slots.cache.layers, cache.layers, strict=True):
                layer.store(first, filled.keys, filled.values)
                filled.keys = filled.values = None
            ends = torch.tensor([len(thought.prompt_ids) - 1 for thought in some], device=hidden.device)
            last.append(hidden[torch.arange(len(some), device=hidden.device), ends])
            first += len(some)
        return torch.cat(last)

    def _start(self, thoughts, hidden):
        """Sets the first rows to the end of their prompts and samples their first token. hidden: (rows, size)."""
        slots, count = self._slots, len(thoughts)
        uniform = np.zeros((count, slots.columns))
        for line, thought in zip(uniform, thoughts, strict=True):
            line[: thought.cap] = uniforms(thought.random_key, thought.cap)
        slots.uniform[:count] = torch.from_numpy(uniform).to(self.device)
        caps_and_ends = [[thought.cap, len(thought.prompt_ids) - 1] for thought in thoughts]
        slots.cap[:count], slots.position[:count] = torch.tensor(caps_and_ends, device=self.device).T
        slots.done[:count] = False
        self._advance(hidden)

    def decode(self, thoughts: list[Thought], rows: list[int], hidden: torch.Tensor) -> list[int]:
        """Samples until every thought has ended; returns the rows in the order of their slots at the end.

        Live thoughts move to the first slots. rows: the number of each thought; hidden: (rows, size), of `prefill`.
        """
        self._start(thoughts, hidden)
        rows, thoughts = list(rows), list(thoughts)
        live, step, next_check = len(thoughts), 1, 1
        self.told(live)
        while True:
            if step >= next_check:
                done = self._slots.done[:live].tolist()
                if all(done):
                    return rows
                alive = [thought for thought, ended in zip(thoughts, done, strict=False) if not ended]
                live = self._live_first(done, rows, thoughts)
                longest = max(len(thought.prompt_ids) for thought in alive)
                # No thought reaches its cap earlier, and on a GPU looking means waiting.
                sure = min(thought.cap for thought in alive) - step if self._looks_seldom else 1
                next_check = step + max(1, min(sure, _STEPS_UNSEEN))
            columns = -(-(longest + step) // _COLUMNS_STEP) * _COLUMNS_STEP
            self.run_step(self._rows_of(live), columns)
            self.told(live)
            step += 1

    @property
    def _looks_seldom(self):
        return self.how != "eager" or self.device.type == "cuda"

    def _rows_of(self, live):
        """Number of rows of a step: exactly the live ones, or the next larger of a few numbers."""
        if self.how == "eager":
            return live
        piece = -(-self._slots.rows // _ROW_SIZES)
        return min(-(-live // piece) * piece, self._slots.rows)

    def _live_first(self, done, rows, thoughts):
        """Moves live thoughts before those that ended; returns the number of live ones. Lists are in slot order."""
        live, still = len(done), done.count(False)
        # Where steps have a few sizes only, moving rows saves nothing until a smaller size is enough.
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

    def run_step(self, rows: int, columns: int) -> None:
        """One decode step; from the second step of the same shape on, a CUDA graph runs it."""
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
        """The graph of a step; None if the step cannot be captured, and then all steps are eager from now on."""
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
        """Feeds the next token of the first rows, which attends to so many columns, and samples the one after it."""
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
        chosen, usable = choose_tokens(scores, slots.uniform[:rows].gather(1, step)[:, 0], self.sampling)
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
        """Copies what was sampled into the thoughts of the first slots."""
        slots = self._slots
        sampled, usable = slots.sampled[:live].cpu().numpy(), slots.usable[:live].cpu().numpy()
        for thought, ids, fine, last in zip(in_slot[:live], sampled, usable, slots.step[:live].tolist(), strict=True):
            thought.sampled_ids = ids[: last + 1].tolist()
            if not fine[last]:
                thought.broken_at = last + 1
            elif ids[last] == self.close_id:
                thought.closed_at = last + 1
                thought.sampled_ids.pop()

    # --- read-outs ---

    def read_forks(self, forks: list[Fork]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Chunks of forks: their numbers, and (forks, nodes, size) hidden states, padded at the end."""
        lines = sorted(fork_lines(forks), key=lambda line: (line.width, line.columns))
        while lines:
            widest = lines[-1].width
            n_alike = sum(line.width >= _LEAST_FILLED * widest for line in lines)
            count = max(1, min(FORKS, FORK_TOKENS // widest, n_alike))
            some, lines = lines[-count:], lines[:-count]
            states = self._feed_lines(some)
            place = [(index, start) for index, line in enumerate(some) for start in line.starts]
            nodes = np.arange(max(len(fork.tokens) for line in some for fork in line.forks))
            node = torch.from_numpy(np.minimum([start + nodes for _, start in place], states.shape[1] - 1))
            numbers = [number for line in some for number in line.numbers]
            yield numbers, states[torch.tensor([index for index, _ in place])[:, None], node]

    def _feed_lines(self, lines):
        """(lines, nodes, size) hidden states, padded at the end."""
        width, columns = max(line.width for line in lines), max(line.columns for line in lines)
        tokens = np.full((len(lines), width), self.pad_id)
        positions = np.zeros((len(lines), width), dtype=np.int64)
        visible = np.zeros((len(lines), width, columns + width), dtype=bool)
        visible[:, np.arange(width), columns + np.arange(width)] = True  # attention to nothing would be NaN
        for index, line in enumerate(lines):
            for fork, start in zip(line.forks, line.starts, strict=True):
                nodes = slice(start, start + len(fork.tokens))
                tokens[index, nodes] = fork.tokens
                positions[index, nodes] = fork.columns + fork.depths
                visible[index, nodes, : fork.columns] = True
                visible[index, nodes, columns + start : columns + nodes.stop] = fork.visible
        slot = torch.tensor([line.forks[0].slot for line in lines])
        hidden = torch.tensor([line.columns for line in lines])[:, None] <= torch.arange(columns)
        cache = Cache(layers=[ForkLayer(layer, slot, hidden) for layer in self._slots.cache.layers])
        return self._feed(
            torch.from_numpy(tokens).to(self.device),
            cache,
            attention_mask=torch.from_numpy(visible[:, None]).to(self.device),
            position_ids=torch.from_numpy(positions).to(self.device),
        )

    def _feed(self, ids, cache, **where):
        output = self.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True, **where)
        return output.last_hidden_state
