import shutil

import numpy as np
import pytest
import torch
from conftest import save_tiny_model
from test_hugging_face_model import assert_same_reading, request
from test_two_stages import GRID, UNITS

from capped_decoding import choose_tokens
from hugging_face_model import HuggingFaceModel
from model_interface import ThoughtRequest
from prompt_encoder import PromptEncoder
from two_stages import compute_records


@pytest.fixture
def model(tiny_folder):
    return HuggingFaceModel(PromptEncoder.load(str(tiny_folder)), 1.0, 1.0, 0)


# --- sampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [128 * 90, 128 * 90 + 77, 300])
def test_top_k_by_blocks_chooses_what_top_k_over_the_vocabulary_chooses(size):
    scores = torch.randn(64, size, generator=torch.Generator().manual_seed(1))
    scores[:, ::3] = -torch.inf
    scores[0, -1] = 50.0  # in the rest behind the last whole block
    draws = torch.from_numpy(np.random.default_rng(2).random(64))
    chosen, usable = choose_tokens(scores, draws, 0.7, 0.9, 20)
    assert usable.all()
    for row in range(64):
        likeliest, ids = scores[row].double().topk(20)
        probability = (likeliest / 0.7).softmax(-1)
        kept = probability.cumsum(-1) - probability < 0.9
        by_id = sorted(zip(ids[kept].tolist(), probability[kept].tolist(), strict=True))
        cumulative = np.cumsum([weight for _, weight in by_id])
        wanted = by_id[int(np.searchsorted(cumulative, draws[row].item() * cumulative[-1], side="right"))]
        assert chosen[row] == wanted[0]


@pytest.mark.parametrize("size", [128 * 90, 300])
@pytest.mark.parametrize("temperature", [0, 0.6])
def test_scores_that_cannot_be_sampled_from_are_told_and_leave_the_other_rows_alone(size, temperature):
    scores = torch.randn(5, size, generator=torch.Generator().manual_seed(1))
    draws = torch.full((5,), 0.3, dtype=torch.float64)
    healthy, _ = choose_tokens(scores, draws, temperature, 0.95, 20)
    scores[1, 7], scores[2, 200], scores[3] = torch.nan, torch.inf, -torch.inf
    chosen, usable = choose_tokens(scores, draws, temperature, 0.95, 20)
    assert usable.tolist() == [True, False, False, False, True]
    assert chosen[[0, 4]].tolist() == healthy[[0, 4]].tolist()
    assert ((chosen >= 0) & (chosen < size)).all()


# --- what is fed and sampled -----------------------------------------------------------------------------------------


def test_a_sweep_samples_one_longest_thought_per_unit_stage_and_proposed_answer(model):
    records = compute_records(model, UNITS, GRID, seed=1, batch_size=4)
    longest = {}
    for record in (record for of_unit in records for record in of_unit):
        for stage, proposal in (("answer", None), ("confidence", record["predicted_option"])):
            key = (record["question_id"], record["permutation"], stage, proposal)
            samples = record[f"{stage}_thinking_tokens"] + (record[f"{stage}_stopped"] == "natural")
            longest[key] = max(longest.get(key, 0), samples)
    assert model.decoder.sampled_tokens == sum(longest.values())


def test_thoughts_that_ended_leave_the_batch(model):
    readings = model.read_thoughts([request(1, (5,)), request(2, (60,)), request(3, (5,)), request(4, (30,))])
    samples = [of_request[0].thinking_tokens + (of_request[0].stopped == "natural") for of_request in readings]
    # the first sample of a thought follows the prompt, every other one a decode step of its row
    assert model.decoder.fed_tokens["decode"] == sum(samples) - len(samples)
    assert model.decoder.passes == {"prefill": 1, "decode": max(samples) - 1, "read-out": 1}


def test_a_thought_that_ended_before_two_caps_is_read_once(model):
    caps = (0, 190, 200)
    requests = [request(number, caps) for number in range(1, 9)]
    readings = model.read_thoughts(requests)
    distinct = {(number, r.stopped, r.thinking_tokens) for number, of_row in enumerate(readings) for r in of_row}
    assert len(distinct) < len(requests) * len(caps)
    read = []
    feed = model.decoder.read_forks
    model.decoder.read_forks = lambda forks: read.extend(forks) or feed(forks)
    again = model.read_thoughts(requests)
    assert len(read) == len(distinct)
    for of_request, wanted in zip(again, readings, strict=True):
        for first, second in zip(of_request, wanted, strict=True):
            assert_same_reading(first, second)


def test_a_prompt_with_both_an_open_and_a_closed_block_is_fed_once(model):
    both = model.read_thoughts([request(1, (0, 7))])[0]
    width = len(model.encoder.encode_prompt(request(1).user_text, True).ids)
    assert (model.decoder.passes["prefill"], model.decoder.fed_tokens["prefill"]) == (1, width)
    assert_same_reading(both[0], model.read_thoughts([request(1, (0,))])[0][0])


# --- the ways to step ------------------------------------------------------------------------------------------------


def test_compiled_steps_give_the_same_readings(tmp_path):
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("torch.compile on a CPU needs a C++ compiler")
    folder = save_tiny_model(tmp_path / "one layer", num_hidden_layers=1)  # each layer takes seconds to compile
    compiled, eager = (
        HuggingFaceModel(PromptEncoder.load(str(folder)), 1.0, 1.0, 0, decoding=how) for how in ("compiled", "eager")
    )
    requests = [request(number, (0, 7, 20)) for number in range(1, 4)]
    for of_request, wanted in zip(compiled.read_thoughts(requests), eager.read_thoughts(requests), strict=True):
        for first, second in zip(of_request, wanted, strict=True):
            assert_same_reading(first, second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_captured_steps_give_the_same_readings(tiny_folder):
    ways = [
        HuggingFaceModel(PromptEncoder.load(str(tiny_folder)), 1.0, 1.0, 0, decoding=how)
        for how in ("captured", "eager")
    ]
    requests = [request(number) for number in range(1, 9)]
    for of_request, wanted in zip(*(model.read_thoughts(requests) for model in ways), strict=True):
        for first, second in zip(of_request, wanted, strict=True):
            assert_same_reading(first, second)


class GraphThatRecords:
    """Stands in for a CUDA graph: on a replay it runs again the step that was captured."""

    def __init__(self, decoder, rows):
        self.decoder, self.rows, self.attended = decoder, rows, decoder._slots.attended

    def replay(self):
        self.decoder._slots.attended = self.attended
        self.decoder._step(self.rows)


def test_steps_in_few_shapes_and_seldom_looked_at_give_the_same_readings(tiny_folder, model, monkeypatch):
    """What captured steps do on a GPU, with the graph itself played by the step: frozen rows, bucketed shapes."""
    captured = HuggingFaceModel(PromptEncoder.load(str(tiny_folder)), 1.0, 1.0, 0, decoding="captured")
    monkeypatch.setattr(captured.decoder, "_captured", lambda rows: GraphThatRecords(captured.decoder, rows))
    monkeypatch.setattr("capped_decoding._looks_seldom", lambda device: True)
    requests = [ThoughtRequest(**{**vars(request(n)), "caps": (0, 7, 20 * n)}) for n in range(1, 18)]
    for of_request, wanted in zip(captured.read_thoughts(requests), model.read_thoughts(requests), strict=True):
        for first, second in zip(of_request, wanted, strict=True):
            assert_same_reading(first, second)
    assert len(captured.decoder._graphs) < captured.decoder.passes["decode"] / 8
    few = requests[:3]  # in a cache that is larger than they need
    for of_request, wanted in zip(captured.read_thoughts(few), model.read_thoughts(few), strict=True):
        for first, second in zip(of_request, wanted, strict=True):
            assert_same_reading(first, second)
