"""Initial weights with which the lookup circuit forms in seconds; from random ones it does not form in minutes.

Following a link takes two attention layers: one tells each token which token comes before it, the next finds an earlier
place of the current token and copies the token after it ("induction heads", Olsson 2022). The initial weights contain
soft versions of both, with random maps. They contain nothing of the task: no name, no table, no answer.
"""
import torch

EMBEDDING_SCALE = 0.08
CONSTANT = 0.4  # value of embedding dimension 0 in every token: queries for a distance need it
DISTANCES = (1, 1, 3)  # the first heads of layer 0 attend so many tokens back; the other heads start at random
DISTANCE_STRENGTH = 0.5
DISTANCE_FREQUENCIES = 3  # fastest rotary frequencies used: enough to tell neighbouring distances apart
FASTEST_MATCHING_FREQUENCY = 0.008  # radians per token; slower ones hardly change over a prompt and match content
WRITE_SCALE, COPY_SCALE = 0.15, 0.5  # of the distance heads' output and of the copying maps
NOISE = 0.02
QUERY_KEY_NORM = 1.5  # sharper attention than the usual 1.0


def structured_start(model, generator: torch.Generator) -> None:
    """Sets the weights of a Qwen3 model with as many key/value heads as query heads and at least two layers."""
    config = model.config
    assert config.num_key_value_heads == config.num_attention_heads
    with torch.no_grad():
        _random_weights(model, generator)
        first, second = (layer.self_attn for layer in model.model.layers[:2])
        frequencies = _rotary_frequencies(config)
        for head, distance in enumerate(DISTANCES):
            rows = slice(head * config.head_dim, (head + 1) * config.head_dim)
            _look_back(first, rows, distance, frequencies)
            if distance == 1:
                _match_what_followed(first, second, rows, frequencies, generator)
            else:
                _match_same_token(first, second, rows, frequencies)
        for attention in (first, second):
            attention.q_norm.weight.fill_(QUERY_KEY_NORM)
            attention.k_norm.weight.fill_(QUERY_KEY_NORM)


def _rotary_frequencies(config):
    """(head_dim / 2,) radians per token, fastest first."""
    exponents = torch.arange(0, config.head_dim, 2) / config.head_dim
    return config.rope_parameters["rope_theta"] ** -exponents


def _random_weights(model, generator):
    def fill(weight, scale):
        weight.normal_(0, scale, generator=generator)

    size, width = model.config.hidden_size, model.config.intermediate_size
    fill(model.model.embed_tokens.weight, EMBEDDING_SCALE)
    model.model.embed_tokens.weight[:, 0] = CONSTANT
    for layer in model.model.layers:
        attention, feed_forward = layer.self_attn, layer.mlp
        readers = (attention.q_proj, attention.k_proj, attention.v_proj, feed_forward.gate_proj, feed_forward.up_proj)
        for reader in readers:
            fill(reader.weight, size**-0.5)
        fill(attention.o_proj.weight, 0.1 * size**-0.5)
        fill(feed_forward.down_proj.weight, 0.1 * width**-0.5)


def _look_back(attention, rows, distance, frequencies):
    """Lets a head prefer the token `distance` back: its key is its query, turned by so many positions."""
    half = len(frequencies)
    used = torch.zeros(half)
    used[:DISTANCE_FREQUENCIES] = 1.0
    query = torch.cat([used, torch.zeros(half)])
    key = torch.cat([torch.cos(distance * frequencies) * used, torch.sin(distance * frequencies) * used])
    for projection, direction in ((attention.q_proj, query), (attention.k_proj, key)):
        projection.weight[rows] *= 0.1
        projection.weight[rows, 0] += DISTANCE_STRENGTH * direction


def _match_what_followed(first, second, rows, frequencies, generator):
    """Layer 0 writes the token before into a separate space; layer 1 finds the current token there and copies."""
    head_dim, size = first.v_proj.weight[rows].shape
    slow = torch.cat([frequencies < FASTEST_MATCHING_FREQUENCY] * 2)[:, None]
    note = torch.linalg.qr(torch.randn(size, head_dim, generator=generator))[0]
    mixing = torch.linalg.qr(torch.randn(head_dim, head_dim, generator=generator))[0] * slow
    first.o_proj.weight[:, rows] = WRITE_SCALE * note
    for projection, reading in ((second.q_proj, first.v_proj.weight[rows]), (second.k_proj, note.T)):
        projection.weight[rows] = mixing @ reading + NOISE * torch.randn(head_dim, size, generator=generator)
    second.o_proj.weight[:, rows] = COPY_SCALE * second.v_proj.weight[rows].T


def _match_same_token(first, second, rows, frequencies):
    """Layer 0 copies the token further back; layer 1 finds other places of the current token and copies them."""
    slow = torch.cat([frequencies < FASTEST_MATCHING_FREQUENCY] * 2)[:, None]
    first.o_proj.weight[:, rows] = COPY_SCALE * first.v_proj.weight[rows].T
    second.q_proj.weight[rows] *= slow
    second.k_proj.weight[rows] = second.q_proj.weight[rows]
    second.o_proj.weight[:, rows] = COPY_SCALE * second.v_proj.weight[rows].T
