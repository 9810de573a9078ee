import threading

import pytest
from fake_vllm import FakeTransport, FakeVllm
from readings_and_records import UNITS, assert_same_records

from basics.errors import UserError
from runs.budgets import make_cells
from runs.computation import compute_records, open_journal
from runs.earlier_records import EarlierRecords
from runs.in_flight import ComputationInFlight
from runs.journal import read_records
from thinking.sampling import Sampling
from thinking.vllm_engine.model import VllmModel

CELLS = make_cells([0, 8], [0.5, 1])
SOME = UNITS[:5]


@pytest.fixture
def transport(tiny_model):
    return FakeTransport(FakeVllm(tiny_model.engine.model))


@pytest.fixture
def model(tiny_model, transport):
    return VllmModel(tiny_model.encoder, Sampling(1.0, 1.0, 0), transport, 600)


def computation(model, path, batch_size=3):
    journal = open_journal(path, SOME, CELLS)
    return ComputationInFlight(model, EarlierRecords(CELLS), 1, batch_size, journal, len(SOME) * len(CELLS))


def in_order(path):
    return sorted(read_records(path), key=lambda record: (record["question_id"], record["permutation"]))


def test_records_are_those_of_batches_on_the_transformers_engine(tiny_model, model, tmp_path):
    path = tmp_path / "records.jsonl"
    batches = list(computation(model, path).batches(SOME))
    assert sum(units for units, _ in batches) == len(SOME)
    expected = compute_records(tiny_model, SOME, CELLS, seed=1, batch_size=5)
    for one, other in zip(in_order(path), [record for of_unit in expected for record in of_unit], strict=True):
        assert_same_records(one, other)


def test_so_many_units_are_in_flight_and_no_more(model, transport, tmp_path):
    """The first thoughts wait for each other, so fewer at a time would never end."""
    at_once, complete = threading.Barrier(3, timeout=60), transport.complete
    working, most = set(), []

    def counted(calls):
        thread = threading.current_thread()
        if thread not in working:
            working.add(thread)
            at_once.wait()
        most.append(len(working))
        return complete(calls)

    transport.complete = counted
    list(computation(model, tmp_path / "records.jsonl").batches(SOME))
    assert max(most) == 3


def test_what_was_finished_is_on_disk_when_another_unit_fails(model, transport, tmp_path):
    complete, path = transport.complete, tmp_path / "records.jsonl"

    def fails_after_the_first_unit(calls):
        if path.read_bytes():
            raise UserError("the server has gone")
        return complete(calls)

    transport.complete = fails_after_the_first_unit
    with pytest.raises(UserError, match="the server has gone"):
        list(computation(model, path, batch_size=1).batches(SOME))
    assert len(list(read_records(path))) == len(CELLS)
    transport.complete = complete
    left = [unit for unit in SOME if unit.key not in open_journal(path, SOME, CELLS).finished.ids]
    assert len(left) == len(SOME) - 1
    list(computation(model, path).batches(left))
    assert len(in_order(path)) == len(SOME) * len(CELLS)


def test_an_end_that_is_asked_for_leaves_complete_units_and_waits_for_nobody(model, tmp_path):
    path = tmp_path / "records.jsonl"
    batches = computation(model, path, batch_size=1).batches(SOME)
    units, _ = next(batches)
    batches.close()
    assert len(list(read_records(path))) == units * len(CELLS)


def test_tokens_of_thoughts_are_told_in_the_callers_thread_while_units_are_in_flight(model, tmp_path):
    run, told = computation(model, tmp_path / "records.jsonl"), []
    run.watch(lambda tokens: told.append((tokens, threading.current_thread())))
    sampled = sum(tokens for _, tokens in run.batches(SOME))
    assert {thread for _, thread in told} == {threading.current_thread()}
    assert sampled <= sum(tokens for tokens, _ in told) <= sampled + 10 * len(SOME)  # closing tags count here
