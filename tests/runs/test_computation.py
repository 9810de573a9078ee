import json
from dataclasses import replace

import pytest
import torch
from readings_and_records import GRID, UNITS, assert_same_records, make_unit

from basics.errors import UserError
from evaluation_tool import CONFIDENCES, answer_request, confidence_request, random_key
from runs.budgets import make_cells
from runs.computation import Computation, compute_records, open_journal
from runs.earlier_records import EarlierRecords
from runs.journal import read_records
from thinking.memory_faults import is_out_of_memory
from thinking.model_interface import Reading, ReadoutResult


@pytest.fixture(scope="module")
def grid_records(tiny_model):
    return compute_records(tiny_model, UNITS, GRID, seed=1, batch_size=4)


def test_every_unit_has_a_record_in_every_cell_in_order(grid_records):
    assert len(grid_records) == len(UNITS)
    for unit, records in zip(UNITS, grid_records, strict=True):
        ids = [(record["question_id"], record["permutation"], record["thought"]) for record in records]
        assert ids == [unit.key] * len(GRID)
        caps = [(record["answer_budget"], record["confidence_budget"]) for record in records]
        assert caps == [(cell.answer_budget, cell.confidence_budget) for cell in GRID]


def test_caps_add_up_and_a_zero_cap_thinks_nothing(grid_records):
    for record in (record for records in grid_records for record in records):
        assert record["answer_budget"] + record["confidence_budget"] == record["total_budget"]
        for stage in ("answer", "confidence"):
            assert len(record[f"{stage}_thinking_ids"]) == record[f"{stage}_thinking_tokens"]
            assert record[f"{stage}_thinking_tokens"] <= record[f"{stage}_budget"]
            if record[f"{stage}_budget"] == 0:
                assert record[f"{stage}_thinking_ids"] == []
                assert record[f"{stage}_thinking"] == ""
            assert (record[f"{stage}_stopped"] == "none") == (record[f"{stage}_budget"] == 0)


def test_the_ratio_is_null_at_total_budget_zero_only(grid_records):
    for record in (record for records in grid_records for record in records):
        assert (record["answer_thinking_ratio"] is None) == (record["total_budget"] == 0)


def test_scores_follow_from_the_readouts(grid_records):
    for record in (record for records in grid_records for record in records):
        probabilities = record["answer_probabilities"]
        assert sum(probabilities) == pytest.approx(1)
        assert record["answer_probability"] == max(probabilities) == probabilities[record["predicted_option"]]
        assert record["is_correct"] == (record["predicted_option"] == record["correct_option"])
        assert record["confidence"] in CONFIDENCES
        for name in ("confidence_expectation", "p_true", "answer_readout_mass", "confidence_readout_mass"):
            assert 0 <= record[name] <= 1
        assert record["error"] is None
        json.dumps(record, allow_nan=False)


@pytest.mark.parametrize("cell", GRID, ids=str)
def test_a_cell_of_a_sweep_equals_the_same_cell_alone(tiny_model, grid_records, cell):
    alone = compute_records(tiny_model, UNITS, [cell], seed=1, batch_size=4)
    for of_unit, swept in zip(alone, grid_records, strict=True):
        assert_same_records(of_unit[0], swept[GRID.index(cell)])


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_records_do_not_depend_on_the_batch_size_nor_on_the_other_questions(tiny_model, grid_records, batch_size):
    some = UNITS[2:7]
    records = compute_records(tiny_model, some, GRID, seed=1, batch_size=batch_size)
    for of_unit, wanted in zip(records, grid_records[2:7], strict=True):
        for first, second in zip(of_unit, wanted, strict=True):
            assert_same_records(first, second)


def test_another_seed_gives_other_thoughts(tiny_model, grid_records):
    other = compute_records(tiny_model, UNITS[:1], GRID, seed=2, batch_size=4)
    assert other[0][-1]["answer_thinking_ids"] != grid_records[0][-1]["answer_thinking_ids"]


def test_each_thought_has_randomness_of_its_own():
    unit, permuted = UNITS[0], UNITS[1]
    keys = [
        random_key(1, unit, "answer", None),
        random_key(2, unit, "answer", None),
        random_key(1, permuted, "answer", None),
        random_key(1, unit, "confidence", 0),
        random_key(1, unit, "confidence", 1),
        random_key(1, replace(unit, thought=1), "answer", None),
        random_key(1, replace(unit, thought=2), "answer", None),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == '[1,"q0",0,"answer",null]'


class ScriptedModel:
    """Answers as it is told and writes down what it was asked. answer_of: cap -> option, None for no read-out."""

    def __init__(self, answer_of):
        self.answer_of, self.requests = answer_of, []

    def read_thoughts(self, requests):
        self.requests.append(list(requests))
        return [[self.reading(request, cap) for cap in request.caps] for request in requests]

    def reading(self, request, cap):
        readouts = {}
        for name, readout in request.readouts.items():
            chosen = self.answer_of[cap] if name == "answer" else 0
            one_hot = [float(index == chosen) for index in range(len(readout.choices))]
            readouts[name] = None if chosen is None else ReadoutResult(one_hot, 0.5)
        error = "broken" if None in readouts.values() else None
        return Reading(cap, [7] * cap, "", "capped" if cap else "none", 1, 2, 3, readouts, error)


def test_the_confidence_stage_thinks_once_per_proposed_answer_up_to_the_largest_cap_it_needs():
    cells = make_cells([10], [0, 0.5, 0.8, 1])  # answer caps 0, 5, 8, 10; confidence caps 10, 5, 2, 0
    model = ScriptedModel({0: 0, 5: 1, 8: 1, 10: 0})
    compute_records(model, UNITS[:1], cells, seed=1, batch_size=8)
    answers, confidences = model.requests
    assert answers == [answer_request(UNITS[0], (0, 5, 8, 10), 1)]
    assert confidences == [confidence_request(UNITS[0], 0, (0, 10), 1), confidence_request(UNITS[0], 1, (2, 5), 1)]


def test_without_an_answer_there_is_no_confidence_stage_and_the_record_says_why():
    cells = make_cells([10], [0.5, 1])
    model = ScriptedModel({5: None, 10: 1})
    broken, good = compute_records(model, UNITS[:1], cells, seed=1, batch_size=8)[0]
    assert broken["error"] == "answer stage: broken"
    for name in ("predicted_option", "is_correct", "answer_probability", "confidence", "p_true", "confidence_thinking"):
        assert broken[name] is None
    assert good["error"] is None
    assert good["predicted_option"] == 1


def test_a_model_that_thinks_past_a_cap_ends_the_run():
    class Leaking(ScriptedModel):
        def reading(self, request, cap):
            return replace(super().reading(request, cap), thinking_ids=[7] * (cap + 1))

    with pytest.raises(RuntimeError, match="cap 5"):
        compute_records(Leaking({5: 0}), UNITS[:1], make_cells([10], [0.5]), seed=1, batch_size=8)


def test_no_batch_is_larger_than_asked_for():
    model = ScriptedModel({0: 0, 5: 1, 10: 0})
    compute_records(model, UNITS, make_cells([10], [0, 0.5, 1]), seed=1, batch_size=3)
    assert max(len(batch) for batch in model.requests) == 3


# --- Memory ----------------------------------------------------------------------------------------------------------

CUDA_LINE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 GiB is free."
    " Including non-PyTorch memory, this process has 77.90 GiB memory in use."
)


class SmallMemory:
    """A model that runs out of memory above so many prompts at a time."""

    def __init__(self, model, most):
        self.model, self.most, self.asked = model, most, []

    def read_thoughts(self, requests):
        self.asked.append(len(requests))
        if len(requests) > self.most:
            raise torch.OutOfMemoryError(CUDA_LINE)
        return self.model.read_thoughts(requests)


@pytest.mark.parametrize("most", [16, 8, 4, 2, 1])
def test_a_batch_that_does_not_fit_is_halved_and_no_record_is_lost_or_doubled(tiny_model, capsys, tmp_path, most):
    cells = make_cells([7], [0.5])
    units = [make_unit(number, permutation) for number in range(8) for permutation in range(2)]
    wanted = compute_records(tiny_model, units, cells, seed=1, batch_size=4)
    model = SmallMemory(tiny_model, most)
    journal = open_journal(tmp_path / "records.jsonl", units, cells)
    computation = Computation(model, EarlierRecords(cells), 1, 16, journal, len(units))
    assert sum(n_units for n_units, _ in computation.batches(units)) == len(units)
    assert computation.cost["batch_size"] == most
    records = list(read_records(tmp_path / "records.jsonl"))
    assert len([size for size in model.asked if size > most]) == 4 - (most.bit_length() - 1)  # each size fails once
    assert capsys.readouterr().err.count("Out of memory; going on with") == 4 - (most.bit_length() - 1)
    for record, other in zip(records, wanted, strict=True):
        assert_same_records(record, other[0])


def test_one_prompt_that_does_not_fit_and_other_faults_are_not_tried_again(tiny_model, tmp_path):
    model = SmallMemory(tiny_model, 0)
    model.encoder = tiny_model.encoder
    journal = open_journal(tmp_path / "records.jsonl", UNITS, GRID)
    with pytest.raises(UserError, match="out of memory with one prompt at a time") as caught:
        list(Computation(model, EarlierRecords(GRID), 1, 4, journal, 1).batches(UNITS))
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    assert model.asked == [4, 2, 1]

    class Broken:
        def read_thoughts(self, requests):
            raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="assert"):
        list(Computation(Broken(), EarlierRecords(GRID), 1, 4, journal, 1).batches(UNITS))
    assert (tmp_path / "records.jsonl").read_bytes() == b""


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError(CUDA_LINE))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("CUDA out of memory."))
