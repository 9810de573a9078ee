import gc

import pytest
import torch
from readings_and_records import GRID, UNITS, assert_same_reading, assert_same_records, request
from tiny_models import load_model

from benchmarks.meter import Meter
from evaluation_tool import P_TRUE_READOUT
from runs.budgets import make_cells
from runs.computation import Computation, compute_records, open_journal
from runs.earlier_records import EarlierRecords
from runs.journal import read_records
from thinking.capped_decoding import prefill_chunks
from thinking.model_interface import ThoughtRequest
from thinking.thoughts import Thought


@pytest.fixture
def model(tiny_folder):
    return load_model(tiny_folder)


# --- what is fed and sampled -----------------------------------------------------------------------------------------


def test_a_sweep_samples_one_longest_thought_per_unit_stage_and_proposed_answer(model):
    with Meter(model.engine.decoder) as meter:
        records = compute_records(model, UNITS, GRID, seed=1, batch_size=4)
    longest = {}
    for record in (record for of_unit in records for record in of_unit):
        for stage, proposal in (("answer", None), ("confidence", record["predicted_option"])):
            key = (record["question_id"], record["permutation"], stage, proposal)
            samples = record[f"{stage}_thinking_tokens"] + (record[f"{stage}_stopped"] == "natural")
            longest[key] = max(longest.get(key, 0), samples)
    assert meter.sampled_tokens == sum(longest.values())


def test_every_sampled_token_is_told_while_it_is_decoded(model):
    told = []
    model.watch(told.append)
    readings = model.read_thoughts([request(1, (0, 5)), request(2, (0, 60)), request(3, (0,))])
    longest = [of_request[-1] for of_request in readings]
    assert sum(told) == sum(one.thinking_tokens + (one.stopped == "natural") for one in longest)
    assert len(told) == max(one.thinking_tokens + (one.stopped == "natural") for one in longest)


def test_thoughts_that_ended_leave_the_batch(model):
    with Meter(model.engine.decoder) as meter:
        readings = model.read_thoughts([request(1, (5,)), request(2, (60,)), request(3, (5,)), request(4, (30,))])
    samples = [of_request[0].thinking_tokens + (of_request[0].stopped == "natural") for of_request in readings]
    # the first sample of a thought follows the prompt, every other one a decode step of its row
    assert meter.fed_tokens["decode"] == sum(samples) - len(samples)
    # the text that closes a capped thought is so long that its read-out is fed apart
    assert meter.passes == {"prefill": 1, "decode": max(samples) - 1, "read-out": 2}


def test_a_thought_that_ended_before_two_caps_is_read_once(model):
    caps = (0, 190, 200)
    requests = [request(number, caps) for number in range(1, 9)]
    readings = model.read_thoughts(requests)
    distinct = {(number, r.stopped, r.thinking_tokens) for number, of_row in enumerate(readings) for r in of_row}
    assert len(distinct) < len(requests) * len(caps)
    read = []
    feed = model.engine.decoder.read_forks
    model.engine.decoder.read_forks = lambda forks: read.extend(forks) or feed(forks)
    again = model.read_thoughts(requests)
    assert len(read) == len(distinct)
    for of_request, wanted in zip(again, readings, strict=True):
        for first, second in zip(of_request, wanted, strict=True):
            assert_same_reading(first, second)


def test_a_prompt_with_both_an_open_and_a_closed_block_is_fed_once(model):
    with Meter(model.engine.decoder) as meter:
        both = model.read_thoughts([request(1, (0, 7))])[0]
    width = len(model.encoder.encode_prompt(request(1).user_text, True).ids)
    assert (meter.passes["prefill"], meter.fed_tokens["prefill"]) == (1, width)
    assert_same_reading(both[0], model.read_thoughts([request(1, (0,))])[0][0])


# --- the ways to step ------------------------------------------------------------------------------------------------


def thought_request(name, number, caps):
    return ThoughtRequest("Why? " * (1 + number % 5) + "Because.", caps, {"p_true": P_TRUE_READOUT}, f"{name} {number}")


THINKING = [thought_request("thinks", number, ((1,), (7,), (40,), (0, 7))[number % 4]) for number in range(24)]
NOT_THINKING = [thought_request("does not", number, (0,)) for number in range(24)]


def assert_same_readings(found, wanted):
    for of_request, wanted_of_request in zip(found, wanted, strict=True):
        for first, second in zip(of_request, wanted_of_request, strict=True):
            assert_same_reading(first, second)


@pytest.fixture(scope="module")
def eager_readings(tiny_folder):
    readings = load_model(tiny_folder, "eager").read_thoughts(THINKING + NOT_THINKING)
    return {one.random_key: of_one for one, of_one in zip(THINKING + NOT_THINKING, readings, strict=True)}


class PlayedGraph:
    """Stands in for a CUDA graph: every replay runs the step that was captured, and nothing else of the decoder."""

    captured = 0

    def __init__(self, step, pool):
        self.replay = step
        PlayedGraph.captured += 1

    def pool(self):
        return None


@pytest.fixture
def played_graphs(monkeypatch):
    """CUDA graphs on a CPU; counts how many were captured."""
    monkeypatch.setattr("thinking.capped_decoding.capture_graph", PlayedGraph)
    monkeypatch.setattr(PlayedGraph, "captured", 0)
    return PlayedGraph


@pytest.mark.parametrize("decoding", ["padded", "captured"])
def test_steps_that_feed_rows_which_are_done_give_the_readings_of_exact_steps(
    tiny_folder, eager_readings, played_graphs, decoding
):
    """A row that was done wrote its next key over the prompt: column 0 at cap 0, else the last one."""
    model = load_model(tiny_folder, decoding)
    assert_same_readings(model.read_thoughts(THINKING), [eager_readings[one.random_key] for one in THINKING])
    for live in range(1, 25):  # in slots of 24 rows, so around every multiple of an eighth
        batch = THINKING[:live] + NOT_THINKING[: (24 - live) // 2]
        assert_same_readings(model.read_thoughts(batch), [eager_readings[one.random_key] for one in batch])
    assert (played_graphs.captured > 0) == (decoding == "captured")


def test_a_batch_that_is_read_again_gives_equal_numbers(tiny_folder, played_graphs):
    model = load_model(tiny_folder, "captured")
    batch = THINKING[:13] + NOT_THINKING[:4]
    assert model.read_thoughts(batch) == model.read_thoughts(batch) == model.read_thoughts(batch)


def test_graphs_outlive_a_longer_batch_in_slots_of_the_longest_row(tiny_folder, played_graphs):
    short = [thought_request("short", number, (40,)) for number in range(8)]
    long = [ThoughtRequest("Why? " * 30, (40,), {"p_true": P_TRUE_READOUT}, f"long {n}") for n in range(8)]
    captured = []
    for reserved in (0, 320):
        model, played_graphs.captured = load_model(tiny_folder, "captured"), 0
        model.reserve(reserved)
        for batch in (short, short, long, short, short):
            model.read_thoughts(batch)
        captured.append(played_graphs.captured)
        assert played_graphs.captured > 0
    grown, sized_once = captured
    assert sized_once < grown


@pytest.fixture
def failing_captures(monkeypatch):
    """torch.cuda.graph as torch 2.13 ends a capture that fails: its own stream stays the current one.

    Is given (error inside the capture or None, error at its end) per capture; the last stands for all that follow.
    """
    current = ["before"]
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current[0])
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: current.__setitem__(0, stream))

    def fail(*faults):
        faults = list(faults)

        class Capture:
            def __init__(self, graph, pool):
                self.inside, self.at_the_end = faults.pop(0) if len(faults) > 1 else faults[0]

            def __enter__(self):
                current[0] = "of the capture"
                if self.inside is not None:
                    try:
                        raise self.inside
                    finally:
                        self.__exit__()

            def __exit__(self, *error):
                raise self.at_the_end

        monkeypatch.setattr(torch.cuda, "graph", Capture)
        return current

    return fail


CANNOT_CAPTURE = "operation not permitted when stream is capturing"


def capture_fault():
    return RuntimeError(CANNOT_CAPTURE), RuntimeError("CUDA error: capture failed because of an earlier error")


def test_a_capture_that_fails_is_told_with_its_cause_and_steps_go_on_eager(
    tiny_folder, eager_readings, failing_captures, capsys
):
    stream = failing_captures(capture_fault())
    model = load_model(tiny_folder, "captured")
    for _ in range(2):
        assert_same_readings(model.read_thoughts(THINKING), [eager_readings[one.random_key] for one in THINKING])
    assert capsys.readouterr().err == f"Decoding without CUDA graphs, which is slower: {CANNOT_CAPTURE}\n"
    assert stream == ["before"]


@pytest.mark.parametrize("place", ["inside", "at the end"])
@pytest.mark.parametrize(
    "fault", [torch.OutOfMemoryError("CUDA out of memory. Tried ..."), RuntimeError("CUDA error: out of memory")]
)
def test_memory_that_runs_out_in_a_capture_halves_the_batch(
    tiny_folder, failing_captures, capsys, tmp_path, place, fault
):
    cells, units = make_cells([40], [0.5]), UNITS[:4]
    wanted = compute_records(load_model(tiny_folder, "eager"), units, cells, 1, 4)
    faults = (fault, RuntimeError("CUDA error: capture failed")) if place == "inside" else (None, fault)
    stream = failing_captures(faults, capture_fault())
    journal = open_journal(tmp_path / "records.jsonl", units, cells)
    computation = Computation(load_model(tiny_folder, "captured"), EarlierRecords(cells), 1, 4, journal, 4)
    assert next(computation.batches(units))[0] == computation.batch_size == 2
    for record, of_wanted in zip(read_records(tmp_path / "records.jsonl"), wanted, strict=False):
        assert_same_records(record, of_wanted[0])
    assert "Out of memory; going on with 2 prompts at a time" in capsys.readouterr().err
    assert stream == ["before"]


def cached_bytes():
    """Of all tensors that are as wide as a cache: 2 heads, columns, size 8."""
    tensors = [one for one in gc.get_objects() if type(one) is torch.Tensor and one.dim() == 4]
    return sum(one.nbytes for one in tensors if (one.shape[1], one.shape[3]) == (2, 8))


def test_a_released_cache_is_free_at_once(model):
    """Slots and layers know each other: the old cache waited for a collection while a larger one was made."""
    gc.collect()
    gc.disable()
    try:
        before = cached_bytes()  # of other tests' models
        model.read_thoughts([request(5, (7,))])
        assert cached_bytes() > before
        model.engine.decoder.release()
        assert cached_bytes() == before
    finally:
        gc.enable()


@pytest.mark.parametrize(("lengths", "passes"), [
    ([50, 45, 40, 30, 29], [3, 2]),  # the third adds 10 to 5 tokens of padding, the fourth would add 20
    ([50] * 40, [40]),
    ([80, 10, 10], [1, 2]),
    ([30, 28, 50, 49], [2, 2]),  # those that do not think come last, and may be longer
])  # fmt: skip
def test_a_pass_of_prompts_ends_where_padding_costs_more_than_another_pass(lengths, passes):
    thoughts = [Thought([5] * length, 1, "") for length in lengths]
    assert [len(some) for some in prefill_chunks(thoughts, 16)] == passes


@pytest.mark.parametrize("lengths", [[3, 50, 50, 50], [90, 1, 1, 1], [200, 5], [10] * 30])
def test_no_prefill_is_larger_than_its_limit_but_for_a_single_long_prompt(model, monkeypatch, lengths):
    monkeypatch.setattr("thinking.capped_decoding.PREFILL_TOKENS", 100)
    fed = []
    model.engine.model.base_model.register_forward_pre_hook(
        lambda module, _, keywords: fed.append(keywords["input_ids"].shape), with_kwargs=True
    )
    for order in (lengths, lengths[::-1]):
        thoughts = [Thought([5] * length, cap, f"{cap} {length}") for cap, length in enumerate(order)]
        model.engine.decoder.think(thoughts)
    prefills = [(rows, width) for rows, width in fed if width > 1]
    assert len(prefills) > 1
    assert all(rows == 1 or rows * width <= 100 for rows, width in prefills)
