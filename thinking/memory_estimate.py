"""Memory that a model and its batches take, from its shape alone: the weights may be absent (on the meta device)."""
import torch
from transformers import DynamicCache

from thinking.capped_decoding import FORK_TOKENS, FORKS, PREFILL_TOKENS

VOCABULARY_CHUNK = 16_384  # rows of the output layer projected in float32 at a time
_MOST_ROWS = 512  # more would only make batches longer, and a crash loses a batch
_SHARE_USED = 0.9  # of the free memory; the rest is for fragments and the libraries' workspaces


class MemoryEstimate:
    """Bytes. model: of transformers. top_k: of the sampling; 0 sorts the vocabulary.

    A forward pass over two tokens measures the cache, since architectures name its sizes differently. Passes on what
    the model raises.
    """

    @torch.inference_mode()
    def __init__(self, model, top_k: int):
        self.model, self.top_k = model, top_k
        cache = DynamicCache(config=model.config)
        ids = torch.zeros((1, 2), dtype=torch.int64, device=model.get_input_embeddings().weight.device)
        model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
        keys, values = cache.layers[0].keys, cache.layers[0].values
        self._layer_per_token = (keys.nbytes + values.nbytes) // keys.shape[2]
        self._key_heads, self._layers = keys.shape[1], len(cache.layers)

    @property
    def weights(self) -> int:
        """All parameters; tied ones count once."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.model.parameters())

    @property
    def cache_per_token(self) -> int:
        """Keys and values per token of a row."""
        return self._layers * self._layer_per_token

    def row(self, tokens: int) -> int:
        """A row's cache, its scores of the vocabulary (in the model's format, twice in float32), and its sampling."""
        sampling = 0 if self.top_k else 64  # probabilities and their sums in float64, the order of the scores
        return self.cache_per_token * (tokens + 64) + (self.model.dtype.itemsize + 8 + sampling) * self._vocabulary

    def one_pass(self, tokens: int, rows: int = _MOST_ROWS, readings: int = FORKS) -> int:
        """What a chunk of prompts or of read-outs takes during its forward pass, whichever is larger.

        readings: of one row at most, one per cap. Prompts: a second copy of their cache. Read-outs: three copies of one
        layer of their rows, with its heads repeated, and the mask. Both: hidden states, and a chunk of the output layer
        in float32 with its sums.
        """
        config = self.model.config.get_text_config(decoder=True)
        width = self._widest() * self.model.dtype.itemsize
        prompts = min(PREFILL_TOKENS, rows * tokens) * (self.cache_per_token + 8 * width)
        forks = min(FORKS, rows * readings)
        fork_tokens = FORK_TOKENS * forks // FORKS
        groups = max(1, config.num_attention_heads // self._key_heads)
        columns = forks * tokens * self._layer_per_token * (1 + 2 * groups)
        readouts = fork_tokens * (4 * width + 6 * tokens) + columns
        tokens_at_once = min(VOCABULARY_CHUNK, self._vocabulary)
        projection = 4 * tokens_at_once * (config.hidden_size + 3 * fork_tokens // 2)  # read at half the nodes
        return max(prompts, readouts) + projection

    def batch(self, rows: int, tokens: int, readings: int = FORKS) -> int:
        """Largest memory that a batch of so many rows takes at once, beside the weights."""
        return rows * self.row(tokens) + self.one_pass(tokens, rows, readings)

    def rows_that_fit(self, free: int, tokens: int) -> int:
        """Rows of a batch, 0 to 512, that fit into `free` bytes beside the weights."""
        return max(0, min(_MOST_ROWS, int((_SHARE_USED * free - self.one_pass(tokens)) / self.row(tokens))))

    @property
    def _vocabulary(self):
        return self.model.get_output_embeddings().weight.shape[0]

    def _widest(self):
        """Values per token between two layers or inside one, whichever is more."""
        config = self.model.config.get_text_config(decoder=True)
        outer = {id(self.model.get_input_embeddings()), id(self.model.get_output_embeddings())}
        inner = [module for module in self.model.modules() if id(module) not in outer]
        # nf: GPT-2's own kind of linear layer. intermediate_size: experts, whose layers are one tensor.
        widths = [getattr(module, name, None) for module in inner for name in ("out_features", "nf")]
        widths += [getattr(config, name, None) for name in ("intermediate_size", "hidden_size")]
        return max(size for size in widths if isinstance(size, int))
