import json
import re
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from readings_and_records import CAPS, READOUTS, assert_same_reading, request
from tiny_models import changed_config, load_model, save_tiny_architecture, save_tiny_model
from transformers import AutoModelForCausalLM, GraniteConfig, Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from basics.errors import UserError
from evaluation_tool import P_TRUE_READOUT
from thinking.model_interface import ThoughtRequest
from thinking.prompt_encoder import CAPPED_CLOSING, NATURAL_CLOSING, OPENING
from thinking.sampling import uniforms


@pytest.fixture(scope="module")
def requests():
    return [request(number) for number in range(1, 9)]


@pytest.fixture(scope="module")
def readings(tiny_model, requests):
    return tiny_model.read_thoughts(requests)


def test_weights_that_are_not_safetensors_are_refused(tmp_path, tiny_folder):
    folder = tmp_path / "pickled"
    folder.mkdir()
    for path in tiny_folder.iterdir():
        if path.suffix != ".safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        load_model(folder)


def test_a_model_that_scales_its_logits_is_refused(tmp_path, tiny_folder):
    """The read-outs project the last hidden state by themselves, so they would not know of the scale."""
    config = GraniteConfig(
        vocab_size=290, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, logits_scaling=8.0,
    )  # fmt: skip
    folders = [tmp_path / "scaled", tmp_path / "plain"]
    for folder in folders:
        shutil.copytree(tiny_folder, folder)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        config.logits_scaling = 1.0
    with pytest.raises(UserError, match="its logits are not a plain projection"):
        load_model(folders[0])
    load_model(folders[1])


def test_broken_weights_are_refused_in_one_line(tmp_path, tiny_folder):
    folder = tmp_path / "torn"
    shutil.copytree(tiny_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match=f"^model_name = '{folder}'"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_key_value_heads": 0}, "its configuration cannot be used (ZeroDivisionError"),
        ({"num_attention_heads": 8}, "gives another size to model.layers.0.self_attn.o_proj.weight and 3 more; config"),
        ({"hidden_act": "foo"}, "its configuration cannot be used (KeyError: 'foo')"),
        ({"pad_token_id": 99999}, "its configuration cannot be used (AssertionError"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": "x"}}, "cannot be used (TypeError"),
        ({"return_dict": False}, "a model of this configuration cannot be used (AttributeError"),
        ({"model_type": "gpt2"}, "its weights lack "),
        ({"attention_bias": True}, "its weights lack model.layers.0.self_attn.k_proj.bias and 7 more; config.json and"),
        ({"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}, "its weights lack model.layers.2."),
        ({"num_hidden_layers": 1, "layer_types": ["full_attention"]}, "has no place for model.layers.1."),
    ],
)
def test_a_configuration_that_is_not_that_of_the_weights_is_refused_in_one_line(tmp_path, tiny_folder, changes, words):
    with pytest.raises(UserError) as caught:
        load_model(changed_config(tmp_path / "model", tiny_folder, **changes))
    assert str(caught.value).startswith(f"model_name = '{tmp_path}/model': ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# --- other architectures -------------------------------------------------------------------------------------------

OTHERS = [  # cache: keys and values per token, in numbers
    ("gpt2", {}, 4 * 8), ("gpt_neox", {}, 4 * 8), ("opt", {}, 4 * 8), ("gpt_bigcode", {"multi_query": True}, 8),
    ("falcon", {"multi_query": True}, 8), ("falcon", {"multi_query": False}, 4 * 8),
    ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}, 4 * 8), ("phi", {}, 4 * 8),
    ("llama", {"num_key_value_heads": 2}, 2 * 8), ("gemma", {"head_dim": 16}, 4 * 16), ("stablelm", {}, 4 * 8),
]  # fmt: skip


@pytest.mark.parametrize(("model_type", "kind", "numbers"), OTHERS)
def test_other_architectures_read_as_from_scratch_and_their_cache_is_measured(tmp_path, model_type, kind, numbers):
    folder = save_tiny_architecture(tmp_path / "model", model_type, **kind)
    model = load_model(folder)
    assert model.engine.memory.cache_per_token == 2 * 2 * numbers * 4  # keys and values, layers, float32
    assert model.predicted_peak_bytes(3, 500) > model.predicted_peak_bytes(2, 500)
    sources = [request(1, (0, 3, 20)), request(3, (0, 7))]
    for source, of_request in zip(sources, model.read_thoughts(sources), strict=True):
        for reading in of_request:
            for name in ("answer", "p_true"):
                joint = probabilities_from_scratch(model, source, reading, READOUTS[name])
                np.testing.assert_allclose(reading.readouts[name].probabilities, joint / joint.sum(), atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "kind", "words"),
    [
        ("falcon", {"alibi": True}, "a model of this configuration cannot be used (ValueError"),
        ("bloom", {}, "does not support an attention implementation"),
        ("bart", {"d_model": 32, "decoder_layers": 2}, "read off a cache it gives other values than read whole"),
        ("roberta", {"is_decoder": True}, "read off a cache it gives other values than read whole"),
        ("electra", {"is_decoder": True}, "a model of this configuration cannot be used (RuntimeError"),
    ],
)
def test_architectures_that_cannot_be_read_are_refused_in_one_line(tmp_path, model_type, kind, words):
    folder = save_tiny_architecture(tmp_path / "model", model_type, **kind)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ignored", ["position_ids", "attention_mask"])
def test_a_model_that_ignores_where_its_tokens_stand_is_refused(tiny_folder, monkeypatch, ignored):
    plain = Qwen3Model.forward

    def deaf(self, **where):
        return plain(self, **(where | {ignored: None}))

    monkeypatch.setattr(Qwen3Model, "forward", deaf)
    with pytest.raises(UserError, match=r"gives other values than read whole \(they differ by \d+%\), so"):
        load_model(tiny_folder)


# --- caps ----------------------------------------------------------------------------------------------------------


def test_no_thought_is_longer_than_its_cap_and_cap_zero_has_none(readings):
    for of_request in readings:
        assert [reading.cap for reading in of_request] == list(CAPS)
        for reading in of_request:
            assert reading.thinking_tokens <= reading.cap
            assert (reading.stopped == "none") == (reading.cap == 0)
            if reading.stopped == "capped":
                assert reading.thinking_tokens == reading.cap


def test_some_thoughts_close_naturally_and_some_are_capped(readings):
    stopped = [reading.stopped for of_request in readings for reading in of_request if reading.cap == 200]
    assert 0 < stopped.count("natural") < len(stopped)


def test_the_thought_at_a_cap_begins_the_thought_at_a_larger_cap(readings):
    for of_request in readings:
        for small, large in pairwise(of_request):
            assert large.thinking_ids[: small.thinking_tokens] == small.thinking_ids
            if small.stopped == "natural":
                assert large.stopped == "natural"
                assert large.thinking_ids == small.thinking_ids


def test_the_closing_tag_takes_a_step_but_is_no_thinking(tiny_model, readings, requests):
    natural = [
        (request, reading)
        for request, of_request in zip(requests, readings, strict=True)
        for reading in of_request
        if reading.stopped == "natural"
    ]
    source, reading = natural[0]
    closing_sample = reading.thinking_tokens + 1
    caps = (closing_sample - 1, closing_sample)
    before, at = tiny_model.read_thoughts([ThoughtRequest(source.user_text, caps, READOUTS, source.random_key)])[0]
    assert (before.stopped, at.stopped) == ("capped", "natural")
    assert before.thinking_ids == at.thinking_ids


def test_a_thought_holds_no_control_token_and_no_token_of_the_padded_vocabulary(tiny_model, readings):
    real = set(tiny_model.encoder.tokenizer.get_vocab().values()) - tiny_model.encoder.control_tokens.keys()
    sampled = {i for of_request in readings for reading in of_request for i in reading.thinking_ids}
    assert sampled <= real
    assert len(sampled) > 100


def test_token_counts_add_up_to_what_was_fed(tiny_model, readings, requests):
    encoder = tiny_model.encoder
    for source, of_request in zip(requests, readings, strict=True):
        for reading in of_request:
            prompt = encoder.encode_prompt(source.user_text, reading.cap > 0)
            closing = encoder.encode_closing(reading.stopped)
            assert reading.prompt_tokens + reading.injected_tokens == len(prompt.ids) + len(closing)


# --- one thought, many caps: the masked cache against a computation from scratch ------------------------------------


def probabilities_from_scratch(model, request, reading, readout):
    """Per choice the unconstrained probability, by forward passes over whole rows without a cache."""
    encoder = model.encoder
    ids = encoder.encode_prompt(request.user_text, reading.cap > 0).ids + reading.thinking_ids
    ids += encoder.encode_control({"natural": NATURAL_CLOSING, "capped": CAPPED_CLOSING, "none": ""}[reading.stopped])
    ids += encoder.encode_plain(readout.prefix)
    prefix, joint, by_length = encoder.encode_plain(readout.prefix), np.zeros(len(readout.choices)), {}
    for choice, spellings in enumerate(readout.choices):
        for spelling in spellings:
            after = encoder.encode_plain(readout.prefix + spelling)[len(prefix) :]
            by_length.setdefault(len(after), []).append((choice, after))
    for of_length in by_length.values():  # rows of equal length need no padding
        after = torch.tensor([tokens for _, tokens in of_length])
        with torch.inference_mode():
            rows = torch.cat([torch.tensor([ids]).expand(len(after), -1), after], dim=1)
            steps = model.engine.model(input_ids=rows).logits[:, len(ids) - 1 : -1].double().log_softmax(-1)
        probabilities = steps.gather(-1, after[:, :, None])[:, :, 0].sum(-1).exp()
        np.add.at(joint, [choice for choice, _ in of_length], probabilities.numpy())
    return joint


def test_readouts_from_the_masked_cache_equal_readouts_from_scratch(tiny_model, readings, requests):
    kinds = set()
    for source, of_request in list(zip(requests, readings, strict=True))[:4]:
        for reading in of_request:
            kinds.add(reading.stopped)
            for name, readout in READOUTS.items():
                joint = probabilities_from_scratch(tiny_model, source, reading, readout)
                result = reading.readouts[name]
                np.testing.assert_allclose(result.probabilities, joint / joint.sum(), atol=1e-6)
                assert result.mass == pytest.approx(joint.sum(), rel=1e-4)
    assert kinds == {"none", "capped", "natural"}


def test_a_thought_is_what_plain_sampling_without_a_cache_gives(tiny_model, readings, requests):
    """Step by step from scratch, with the same uniforms: the processor, the caps and the padding change nothing."""
    encoder, source, reading = tiny_model.encoder, requests[2], readings[2][3]
    ids, draws = encoder.encode_prompt(source.user_text, True).ids, uniforms(source.random_key, 40)
    thought = []
    for draw in draws:
        with torch.inference_mode():
            scores = tiny_model.engine.model(input_ids=torch.tensor([ids + thought])).logits[:, -1]
        forbidden = [i for i in range(scores.shape[1]) if i >= len(encoder.tokenizer)]
        forbidden += [i for i in encoder.control_tokens if i != encoder.think_close_id]
        scores = scores.index_fill(-1, torch.tensor(forbidden), -torch.inf)
        probability = scores[0].double().softmax(-1).numpy()
        token = int(np.searchsorted(probability.cumsum(), draw, side="right"))
        if token == encoder.think_close_id:
            break
        thought.append(token)
    assert reading.thinking_ids == thought


# --- randomness belongs to the row -----------------------------------------------------------------------------------


def test_readings_do_not_depend_on_the_batch(tiny_model, readings, requests):
    alone = [tiny_model.read_thoughts([one])[0] for one in requests]
    backwards = tiny_model.read_thoughts(requests[::-1])[::-1]
    for of_request, others, reversed_ in zip(readings, alone, backwards, strict=True):
        for first, second, third in zip(of_request, others, reversed_, strict=True):
            assert_same_reading(first, second)
            assert_same_reading(first, third)


def test_rows_of_a_batch_may_have_different_caps(tiny_model, readings):
    mixed = tiny_model.read_thoughts([request(1, (7,)), request(2, (200, 0)), request(3, (40, 1)), request(4, (0,))])
    assert_same_reading(mixed[0][0], readings[0][2])
    assert_same_reading(mixed[1][0], readings[1][4])
    assert_same_reading(mixed[1][1], readings[1][0])
    assert_same_reading(mixed[2][0], readings[2][3])
    assert_same_reading(mixed[2][1], readings[2][1])
    assert_same_reading(mixed[3][0], readings[3][0])


def test_another_key_gives_another_thought(tiny_model):
    one, other = tiny_model.read_thoughts(
        [ThoughtRequest("Why?", (40,), READOUTS, "one"), ThoughtRequest("Why?", (40,), READOUTS, "other")]
    )
    assert one[0].thinking_ids != other[0].thinking_ids


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_row_with_logits_that_are_not_finite_carries_an_error_and_leaves_the_others_alone(tmp_path):
    folder = save_tiny_model(tmp_path / "poisoned")
    model = load_model(folder)
    caps = (0, 1, 7, 40)
    good = model.read_thoughts([request(1, caps)])[0]
    poison = model.encoder.encode_plain("Z")[0]
    assert poison not in good[-1].thinking_ids
    with torch.no_grad():
        model.engine.model.get_input_embeddings().weight[poison] = torch.nan
    healthy, bad = model.read_thoughts([request(1, caps), ThoughtRequest("Z", caps, READOUTS, "row 2")])
    for reading in bad:
        assert "not finite" in reading.error
        assert set(reading.readouts.values()) == {None}
        assert reading.thinking_ids == []
    for first, second in zip(healthy, good, strict=True):
        assert_same_reading(first, second)


def test_readings_before_a_break_are_those_of_the_whole_thought(tmp_path):
    """A later NaN stands in the same row of the cache, behind what the earlier caps may see."""
    folder = save_tiny_model(tmp_path / "poisoned later")
    model = load_model(folder)
    caps = (0, 3, 10, 40)
    source = request(1, caps, {"p_true": P_TRUE_READOUT})
    good = model.read_thoughts([source])[0]
    thought, encode = good[-1].thinking_ids, model.encoder.encode_plain
    prompt = model.encoder.encode_prompt(source.user_text, True).ids
    elsewhere = {*prompt, *encode(CAPPED_CLOSING), *encode(P_TRUE_READOUT.prefix + " yes Yes no No")}
    place = next(i for i in range(10, 35) if thought[i] not in elsewhere | set(thought[:i]))
    weights = model.engine.model.get_input_embeddings().weight
    healthy_weights = weights[thought[place]].clone()
    with torch.no_grad():
        weights[thought[place]] = torch.nan
    broken = model.read_thoughts([source])[0]
    assert "not finite" in broken[-1].error
    assert broken[-1].thinking_ids == thought[: place + 1]
    for first, second in zip(broken[:3], good[:3], strict=True):
        assert_same_reading(first, second)
    # beside a longer row, whose columns reach over the NaN: what is masked is zeroed too, as nothing times NaN is NaN
    beside, longer = model.read_thoughts([source, request(9, (0, 3, 10, 40), source.readouts)])
    assert len(longer[-1].thinking_ids) + 40 > place and {one.error for one in longer} == {None}
    for first, second in zip(beside[:3], good[:3], strict=True):
        assert_same_reading(first, second)
    # the slot that held a NaN is clean for the next batch
    with torch.no_grad():
        weights[thought[place]] = healthy_weights
    for first, second in zip(model.read_thoughts([source])[0], good, strict=True):
        assert_same_reading(first, second)


def test_a_published_generation_config_does_not_change_the_sampling(tmp_path, tiny_model):
    folder = save_tiny_model(tmp_path / "penalty")
    published = {"repetition_penalty": 5.0, "do_sample": True, "max_new_tokens": 3, "eos_token_id": 1}
    (folder / "generation_config.json").write_text(json.dumps(published), encoding="utf-8")
    model = load_model(folder)
    for first, second in zip(
        model.read_thoughts([request(3)])[0], tiny_model.read_thoughts([request(3)])[0], strict=True
    ):
        assert_same_reading(first, second)


def test_a_batch_that_ran_out_of_memory_leaves_the_model_fit_for_a_smaller_one(tiny_folder, readings, requests):
    model = load_model(tiny_folder)
    steps = []

    def out_of_memory(module, arguments, keywords):
        steps.append(len(keywords["input_ids"]))
        if len(steps) == 20:
            raise torch.OutOfMemoryError("out of memory")

    hook = model.engine.model.base_model.register_forward_pre_hook(out_of_memory, with_kwargs=True)
    with pytest.raises(torch.OutOfMemoryError):
        model.read_thoughts(requests)
    hook.remove()
    assert model.engine.decoder._slots is None
    for of_request, wanted in zip(model.read_thoughts(requests[:2]), readings[:2], strict=True):
        for first, second in zip(of_request, wanted, strict=True):
            assert_same_reading(first, second)


def test_the_predicted_peak_grows_with_rows_and_tokens_and_holds_the_cache(tiny_model):
    peak = tiny_model.predicted_peak_bytes
    cache = tiny_model.engine.memory.cache_per_token
    assert cache == 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, size, float32
    assert peak(11, 500) - peak(1, 500) > 10 * 500 * cache
    assert peak(1, 600) - peak(1, 500) > 100 * cache
    assert tiny_model.rows_that_fit(500) >= 1


def test_the_real_vocabulary_runs(tmp_path, qwen3_encoder):
    """The real Qwen3 tokenizer: 101 confidences behind one prefix, thoughts at every cap, bfloat16."""
    qwen3_encoder.tokenizer.save_pretrained(tmp_path)
    config = Qwen3Config(
        vocab_size=151936, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, tie_word_embeddings=True, dtype="bfloat16",
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert model.identity()["dtype"] == "bfloat16"
    for reading in model.read_thoughts([request(1, (0, 5, 20))])[0]:
        assert reading.thinking_tokens == reading.cap
        assert len(reading.readouts["confidence"].probabilities) == 101
        assert sum(reading.readouts["confidence"].probabilities) == pytest.approx(1)


def test_the_tokens_of_prompt_closing_and_readouts_are_counted_apart(tiny_model, readings, requests):
    """Without the program's own trees: read-outs feed every beginning of their texts once, the last token never."""
    encoder, tokenizer = tiny_model.encoder, tiny_model.encoder.tokenizer
    spelt = [encoder.encode_plain(one.prefix + text) for one in READOUTS.values() for c in one.choices for text in c]
    fed = {tuple(ids[:length]) for ids in spelt for length in range(1, len(ids))}
    # the program's texts are encoded one by one: "\n" of the opening must not merge with "\n\n" behind it
    injected = {"none": (), "natural": (OPENING, NATURAL_CLOSING), "capped": (OPENING, CAPPED_CLOSING)}
    stops = set()
    for source, of_request in zip(requests, readings, strict=True):
        for reading in of_request:
            stops.add(reading.stopped)
            chat = [{"role": "user", "content": source.user_text}]
            template = tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, enable_thinking=reading.cap > 0
            )
            assert reading.prompt_tokens == len(encoder.encode_control(template))
            injected_ids = [encoder.encode_control(text) for text in injected[reading.stopped]]
            assert reading.injected_tokens == sum(map(len, injected_ids))
            assert reading.readout_tokens == len(fed)
    assert stops == {"none", "natural", "capped"}
