"""The engine on transformers: weights, capped decoding, and log probabilities projected in float32."""
import numpy as np
import torch
from transformers import GenerationConfig

from thinking.capped_decoding import CappedDecoder
from thinking.load_weights import check_decoder, check_output_layer, load_weights, one_line_for_faults
from thinking.memory_estimate import VOCABULARY_CHUNK, MemoryEstimate
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling
from thinking.slot_cache import Fork
from thinking.thought_reader import forbidden_while_thinking
from thinking.thoughts import Place, Thought

_CPU_ROWS = 64  # measured: fewer are slower for tiny models and with a vocabulary of 152,000 (benchmarks/README.md)


class TransformersEngine:
    """Keeps `thoughts.Engine`'s promises with a causal language model of transformers.

    device, decoding, dtype: as `hugging_face_model.HuggingFaceModel` takes them. Raises UserError if the weights
    cannot be loaded, or if the model gives other values read off its cache than read whole.
    """

    def __init__(
        self, encoder: PromptEncoder, sampling: Sampling, device=None, decoding: str = "", dtype: str = "auto"
    ):
        self.model = load_weights(encoder, device or ("cuda:0" if torch.cuda.is_available() else "cpu"), dtype)
        self.model.generation_config = GenerationConfig()  # a published repetition penalty would change the sampling
        self.device = self.model.get_input_embeddings().weight.device
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # CUDA graphs are captured on the current one
        with one_line_for_faults(encoder):
            self.memory = MemoryEstimate(self.model, sampling.top_k)
        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        self.forbidden_ids = forbidden_while_thinking(encoder, vocabulary)
        one_gpu = self.device.type == "cuda" and len(self._devices()) == 1
        self.decoder = CappedDecoder(
            self.model,
            close_id=encoder.think_close_id,
            forbidden_ids=self.forbidden_ids,
            pad_id=min(encoder.control_tokens, default=0),
            sampling=sampling,
            how=decoding or ("captured" if one_gpu else "eager"),
        )
        with one_line_for_faults(encoder):
            check_decoder(encoder, self.model)
            check_output_layer(encoder, self.model)

    def think(self, thoughts: list[Thought]) -> None:
        """Samples the thoughts as one batch; their cache stays until the next batch."""
        self.decoder.think(thoughts)

    def log_probabilities(self, places: list[Place]) -> list[np.ndarray]:
        """Per place (steps,) float64: the log probability of every step of its tree."""
        layer, forks, found = self.model.get_output_embeddings(), [_fork(place) for place in places], {}
        for numbers, hidden in self.decoder.read_forks(forks):
            trees = [places[number].tree for number in numbers]
            # Of each fork: the nodes read, the place of each step's node among all that are read, the steps' tokens.
            nodes, rows, tokens = zip(*(tree.reads for tree in trees), strict=True)
            leads = [len(forks[number].tokens) - len(tree.tokens) for number, tree in zip(numbers, trees, strict=True)]
            first_row = np.cumsum([0, *map(len, nodes[:-1])])
            fork = np.repeat(np.arange(len(numbers)), [*map(len, nodes)])
            node = np.concatenate([lead + of_fork for lead, of_fork in zip(leads, nodes, strict=True)])
            row = np.concatenate([first + of_fork for first, of_fork in zip(first_row, rows, strict=True)])
            picked = hidden[torch.from_numpy(fork), torch.from_numpy(node)]
            values = _log_probabilities(layer, picked, row, np.concatenate(tokens))
            found |= zip(numbers, np.split(values, np.cumsum([*map(len, rows[:-1])])), strict=True)
        return [found[number] for number in range(len(places))]

    def rows_that_fit(self, tokens_per_row: int) -> int:
        """Rows of a batch, >= 1: as many as a GPU's free memory holds; on a CPU a size that keeps its cores busy."""
        if self.device.type != "cuda":
            return _CPU_ROWS
        free = min(torch.cuda.mem_get_info(device)[0] for device in self._devices())
        return max(1, self.memory.rows_that_fit(free, tokens_per_row))

    def _devices(self):
        return {parameter.device for parameter in self.model.parameters()}


def _fork(place: Place) -> Fork:
    """What is fed for a place: the tokens that are not in the thought's slot, then the tree."""
    thought, before = place.thought, place.ids_before_tree()
    # The last token of a thought that did not close itself was sampled, but not fed.
    unfed = int(bool(thought.sampled_ids) and thought.closed_at is None)
    columns = min(place.length, len(thought.prompt_ids) + len(thought.sampled_ids) - unfed)
    depths, visible = place.tree.after(len(before) - columns)
    return Fork(
        slot=thought.slot,
        columns=columns,
        tokens=np.array([*before[columns:], *place.tree.tokens]),
        depths=depths,
        visible=visible,
        is_broken=thought.broken_at is not None,
    )


def _log_probabilities(layer, hidden, row, tokens) -> np.ndarray:
    """(steps,) float64: of each token after the state in its row. hidden: (rows, size); row, tokens: (steps,) ints."""
    hidden = hidden.to(layer.weight.device)
    row, tokens = (torch.from_numpy(numbers).to(hidden.device) for numbers in (row, tokens))
    logits = torch.empty(len(tokens), dtype=torch.float32, device=hidden.device)
    total = torch.full((len(hidden),), -torch.inf, dtype=torch.float64, device=hidden.device)
    for start in range(0, layer.weight.shape[0], VOCABULARY_CHUNK):
        chunk = float32_product(hidden, layer.weight[start : start + VOCABULARY_CHUNK])
        if layer.bias is not None:
            chunk += layer.bias[start : start + VOCABULARY_CHUNK].float()
        total = torch.logaddexp(total, chunk.logsumexp(dim=-1).double())
        column = tokens - start
        inside = (column >= 0) & (column < chunk.shape[1])
        logits = torch.where(inside, chunk[row, column.clamp(0, chunk.shape[1] - 1)], logits)
    return (logits.double() - total[row]).cpu().numpy()


def float32_product(hidden, weight):
    """(rows, tokens) float32 logits: products of the model's numbers, summed and kept in float32.

    hidden: (rows, size); weight: (tokens, size), both in the model's format. A GPU multiplies bfloat16 and float16
    numbers, whose products float32 holds exactly, in its fast units, and needs no float32 copy of the weights.
    """
    if weight.is_cuda and weight.dtype in (torch.bfloat16, torch.float16):
        return torch.mm(hidden.to(weight.dtype), weight.T, out_dtype=torch.float32)
    return hidden.float() @ weight.float().T
