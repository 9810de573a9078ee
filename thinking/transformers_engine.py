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

    device, decoding: as `hugging_face_model.HuggingFaceModel` takes them. Raises UserError if the weights cannot be
    loaded, or if the model gives other values read off its cache than read whole.
    """

    def __init__(self, encoder: PromptEncoder, sampling: Sampling, device=None, decoding: str = ""):
        self.model = load_weights(encoder, device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
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

    def log_probabilities(self, places: list[Place]) -> list[dict[tuple[int, int], float]]:
        """Per place {(node, token): log probability} for every step of its tree, in float64."""
        layer, forks, found = self.model.get_output_embeddings(), [_fork(place) for place in places], {}
        for numbers, hidden in self.decoder.read_forks(forks):
            steps = [
                (line, len(forks[number].tokens) - len(places[number].tree.tokens) + node, token)
                for line, number in enumerate(numbers)
                for node, token in places[number].tree.steps
            ]
            values = iter(_log_probabilities(layer, hidden, steps))
            for number in numbers:
                found[number] = {step: next(values) for step in places[number].tree.steps}
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
    lead, nodes = len(before) - columns, len(place.tree.tokens)
    visible = np.tri(lead + nodes, dtype=bool)
    visible[lead:, lead:] = place.tree.visible
    return Fork(
        slot=thought.slot,
        columns=columns,
        tokens=np.array([*before[columns:], *place.tree.tokens]),
        depths=np.concatenate([np.arange(lead), lead + place.tree.depths]),
        visible=visible,
        is_broken=thought.broken_at is not None,
    )


def _log_probabilities(layer, hidden, steps: list[tuple[int, int, int]]) -> list[float]:
    """Of each step (line, node, token): the token after the node. hidden: (lines, nodes, size); layer: the output's."""
    reads = sorted({(line, node) for line, node, _ in steps})
    read_number = {read: number for number, read in enumerate(reads)}
    picked = hidden[[line for line, _ in reads], [node for _, node in reads]].float().to(layer.weight.device)
    row = torch.tensor([read_number[line, node] for line, node, _ in steps], device=picked.device)
    token_ids = torch.tensor([token for _, _, token in steps], device=picked.device)
    logits = torch.empty(len(steps), dtype=torch.float32, device=picked.device)
    total = torch.full((len(reads),), -torch.inf, dtype=torch.float64, device=picked.device)
    for start in range(0, layer.weight.shape[0], VOCABULARY_CHUNK):
        weight = layer.weight[start : start + VOCABULARY_CHUNK].float()
        chunk = picked @ weight.T
        if layer.bias is not None:
            chunk += layer.bias[start : start + VOCABULARY_CHUNK].float()
        total = torch.logaddexp(total, chunk.logsumexp(dim=-1).double())
        column = token_ids - start
        inside = (column >= 0) & (column < len(weight))
        logits = torch.where(inside, chunk[row, column.clamp(0, len(weight) - 1)], logits)
    return (logits.double() - total[row]).cpu().tolist()
