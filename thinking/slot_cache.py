"""The key/value cache of a batch: every row owns a slot, and token number n of the row is in column n.

Tokens are written in place. So prompts need no padding on the left, rows can change places, and a shorter cap sees the
first columns only.
"""
from dataclasses import dataclass

import numpy as np
import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True)
class Fork:
    """Tokens to feed after the first `columns` tokens of a row; the row's cache stays as it is.

    slot: of the row. tokens: (nodes,) ids. depths: (nodes,) position of each after the columns, from 0. visible:
    (nodes, nodes) bools: which nodes a node attends to, itself included; every node attends to all the columns.
    is_broken: the row's later columns may hold NaN, so its forks are not fed together.
    """

    slot: int
    columns: int
    tokens: np.ndarray
    depths: np.ndarray
    visible: np.ndarray
    is_broken: bool = False


@dataclass(frozen=True)
class ForkLine:
    """Forks of one row that are fed together: the row's columns are copied once, and each fork sees its own part.

    numbers: of the forks; starts: (forks,) the first node of each.
    """

    forks: list[Fork]
    numbers: list[int]
    starts: list[int]

    @property
    def columns(self) -> int:
        """That the longest fork sees."""
        return max(fork.columns for fork in self.forks)

    @property
    def width(self) -> int:
        """Nodes of all forks."""
        return self.starts[-1] + len(self.forks[-1].tokens)


def fork_lines(forks: list[Fork]) -> list[ForkLine]:
    """The forks, those of one row together."""
    lines: dict[tuple, ForkLine] = {}
    for number, fork in enumerate(forks):
        line = lines.setdefault((fork.slot, number if fork.is_broken else -1), ForkLine([], [], []))
        line.starts.append(line.width if line.forks else 0)
        line.forks.append(fork)
        line.numbers.append(number)
    return list(lines.values())


class _SlotLayer(DynamicLayer):
    """Keys and values of one layer, (rows, heads, columns, size); a decode step adds one token per row."""

    def __init__(self, slots):
        super().__init__()
        self.slots = slots

    def store(self, first: int, keys, values):
        """Writes prompts into the slots from `first` on."""
        if self.keys is None:
            shape = (self.slots.rows, keys.shape[1], self.slots.columns + 1, keys.shape[3])
            # Zeros: a masked column has weight 0, but 0 times NaN is NaN.
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


class ForkLayer(DynamicLayer):
    """Keys and values that forks attend to in one layer: a copy of their rows' columns, then their own tokens."""

    def __init__(self, stored, slot, hidden):
        super().__init__()
        self.stored, self.slot, self.hidden = stored, slot, hidden

    def update(self, key_states, value_states, *args, **kwargs):
        """The forks' keys and values after those of their rows; stores nothing."""
        slot, hidden = self.slot.to(key_states.device), self.hidden.to(key_states.device)[:, None, :, None]
        columns = hidden.shape[2]
        # Columns after a fork's own are masked, and set to 0 too: they may hold a later NaN of the same thought.
        keys = self.stored.keys[:, :, :columns].index_select(0, slot).masked_fill_(hidden, 0)
        values = self.stored.values[:, :, :columns].index_select(0, slot).masked_fill_(hidden, 0)
        return torch.cat([keys, key_states], dim=2), torch.cat([values, value_states], dim=2)


class Slots:
    """The state of a batch on the device, at fixed addresses: a row per thought.

    token, position: (rows,) the token fed next and its column. step: (rows,) number of the sample after it, from 0.
    done: (rows,) whether the thought has ended; its row no longer changes. uniform, sampled, usable: (rows, columns),
    by step. Rows without a thought are done, at position 0. The cache has one more column at its end that no token
    attends to: a step may feed rows that are done, and their keys and values are written there.
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
        """Empties every slot, and removes the NaN of a broken thought."""
        for layer in self.cache.layers:
            if layer.keys is not None:
                layer.keys.zero_()
                layer.values.zero_()
        for tensor in (self.token, self.position, self.step, self.cap):
            tensor.zero_()
        self.done.fill_(True)
        self.usable.fill_(True)

    def aim(self, rows: int, columns: int):
        """Sets the number of columns that a step of the first rows attends to, and the column that each row writes."""
        self.attended = columns
        torch.where(self.done[:rows], self.unread, self.position[:rows], out=self.target[:rows])

    def targets(self, rows: int, device):
        """Row numbers and the column that each writes, as indices on the device."""
        return self.row_numbers[:rows].to(device), self.target[:rows].to(device)

    def swap(self, some: list[int], others: list[int]):
        """Exchanges rows, pair by pair."""
        to, source = torch.tensor([some + others, others + some], device=self.done.device)
        state = (self.token, self.position, self.step, self.cap, self.done, self.uniform, self.sampled, self.usable)
        for tensor in (*state, *(part for layer in self.cache.layers for part in (layer.keys, layer.values))):
            tensor[to.to(tensor.device)] = tensor[source.to(tensor.device)]
