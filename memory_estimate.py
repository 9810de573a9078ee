"""Memory that a model and its batches take, by its shape alone: the model may be empty (on the meta device)."""
from dataclasses import dataclass

from capped_decoding import FORK_TOKENS, FORKS, PREFILL_TOKENS

VOCABULARY_CHUNK = 16_384  # rows of the output layer projected in float32 at a time
_MOST_ROWS = 512  # more would only make each batch, and so what a crash can lose, longer
_SHARE_USED = 0.9  # of the free memory: the allocator's fragments and the libraries' workspaces need some


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes. model: of transformers. top_k: of the sampling; 0 sorts the vocabulary."""

    model: object
    top_k: int

    @property
    def weights(self) -> int:
        """All parameters, tied ones once."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.model.parameters())

    @property
    def cache_per_token(self) -> int:
        """Keys and values per token of a row."""
        config = self._config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return 2 * config.num_hidden_layers * self._key_heads * size * self.model.dtype.itemsize

    def row(self, tokens: int) -> int:
        """A row's cache, and its scores of the vocabulary: in the model's format, twice in float32, and sampling."""
        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        sampling = 0 if self.top_k else 64  # probabilities and their sums in float64, the order of the scores
        return self.cache_per_token * (tokens + 64) + (self.model.dtype.itemsize + 8 + sampling) * vocabulary

    def one_pass(self, tokens: int) -> int:
        """The larger of a chunk of prompts and a chunk of read-outs while they pass through the model.

        Prompts: their cache beside its copy in the rows. Read-outs: one layer of their rows, its heads repeated, thrice
        over, and their mask. Both: hidden states, and a chunk of the output layer in float32 with its sums.
        """
        config = self._config
        inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        width = max(inner, config.hidden_size) * self.model.dtype.itemsize
        prompts = PREFILL_TOKENS * (self.cache_per_token + 4 * width)
        layer = self.cache_per_token // config.num_hidden_layers
        groups = config.num_attention_heads // self._key_heads
        columns = FORKS * tokens * layer * (1 + 2 * groups)
        readouts = FORK_TOKENS * (4 * width + 6 * tokens) + columns
        projection = 4 * VOCABULARY_CHUNK * (config.hidden_size + 3 * FORK_TOKENS // 2)  # read at half the nodes
        return max(prompts, readouts) + projection

    def peak(self, rows: int, tokens: int) -> int:
        """Largest memory that a batch of so many rows takes at once, the weights included."""
        return self.weights + rows * self.row(tokens) + self.one_pass(tokens)

    def rows_that_fit(self, free: int, tokens: int) -> int:
        """Rows of a batch, 0 to 512, in so much memory beside the weights."""
        return max(0, min(_MOST_ROWS, int((_SHARE_USED * free - self.one_pass(tokens)) / self.row(tokens))))

    @property
    def _config(self):
        return self.model.config.get_text_config(decoder=True)

    @property
    def _key_heads(self):
        """Key/value heads; architectures without groups of heads name the attention heads alone."""
        return getattr(self._config, "num_key_value_heads", None) or self._config.num_attention_heads
