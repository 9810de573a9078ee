"""The two stages by themselves: what is asked for which caps, and how the readings come back."""
from thinking.model_interface import Reading, Readout, ReadoutResult, ThoughtRequest
from thinking.two_stages import TwoStages, chosen_answer, read_two_stages


class ModelThatChooses:
    """Chooses 0 below a cap of 5 and 1 from there on; writes down what it was asked."""

    def __init__(self):
        self.asked = []

    def read_thoughts(self, requests):
        self.asked += requests
        return [[self.reading(request, cap) for cap in request.caps] for request in requests]

    def reading(self, request, cap):
        (name,) = request.readouts
        result = ReadoutResult([0.2, 0.8] if cap >= 5 else [0.8, 0.2], 1.0)
        return Reading(cap, [7] * cap, request.user_text, "capped", 1, 2, 3, {name: result})


def stages(name):
    readout = Readout("x:", ((" a",), (" b",)))
    return TwoStages(
        answer=ThoughtRequest(name, (3, 5, 9), {"answer": readout}, name),
        confidence=lambda choice: ThoughtRequest(f"{name} {choice}", (0, 1, 4, 7), {"sure": readout}, name),
    )


def test_one_confidence_thought_per_chosen_answer_at_the_caps_that_are_needed():
    model = ModelThatChooses()
    pairs = [(3, 7), (5, 4), (9, 1), (3, 0)]
    (readings,) = read_two_stages(model, [stages("q")], pairs, 8)
    assert [(answer.cap, judged.cap) for answer, judged in readings] == pairs
    assert [judged.thinking for _, judged in readings] == ["q 0", "q 1", "q 1", "q 0"]
    assert {request.user_text: request.caps for request in model.asked[1:]} == {"q 0": (0, 7), "q 1": (1, 4)}


def test_the_likeliest_choice_is_the_answer_the_first_of_equal_ones_and_without_a_readout_there_is_none():
    for result, choice in (
        (ReadoutResult([0.2, 0.5, 0.3], 0.9), 1),
        (ReadoutResult([0.4, 0.2, 0.4], 0.9), 0),
        (None, None),
    ):
        assert chosen_answer(Reading(3, [], "", "capped", 1, 2, 3, {"answer": result})) == choice


def test_questions_come_back_in_their_order():
    readings = read_two_stages(ModelThatChooses(), [stages("q"), stages("r"), stages("s")], [(5, 4)], 2)
    assert [of_question[0][1].thinking for of_question in readings] == ["q 1", "r 1", "s 1"]
