"""Two stages of thinking about one question: the answer first, then the confidence in it. Knows no prompt."""
from collections.abc import Callable
from dataclasses import dataclass, replace

from thinking.model_interface import Reading, ReasoningModel, ThoughtRequest


@dataclass(frozen=True)
class TwoStages:
    """What is asked of the model about one question.

    answer: the answer stage, at every answer cap; its only read-out chooses the answer. confidence: from the index of
    the chosen answer to the confidence stage that judges it, at every confidence cap.
    """

    answer: ThoughtRequest
    confidence: Callable[[int], ThoughtRequest]


def read_two_stages(
    model: ReasoningModel, questions: list[TwoStages], cap_pairs: list[tuple[int, int]], batch_size: int
) -> list[list[tuple[Reading, Reading | None]]]:
    """Per question and pair (answer cap, confidence cap), in these orders: the two readings.

    The second reading is None where no answer could be read out. One thought is sampled per question in the answer
    stage, and one per question and distinct chosen answer in the confidence stage, each once, up to the largest cap
    that a pair needs. batch_size: thoughts at a time, >= 1.
    """
    answers = _readings(model, [question.answer for question in questions], batch_size)
    caps_by_choice: dict[tuple[int, int], set[int]] = {}
    for index, by_cap in enumerate(answers):
        for answer_cap, confidence_cap in cap_pairs:
            choice = chosen_answer(by_cap[answer_cap])
            if choice is not None:
                caps_by_choice.setdefault((index, choice), set()).add(confidence_cap)
    # Thoughts of like length share a batch, so that few rows run to the end of it.
    caps_by_choice = dict(sorted(caps_by_choice.items(), key=lambda item: -max(item[1])))
    requests = [
        replace(questions[index].confidence(choice), caps=tuple(sorted(caps)))
        for (index, choice), caps in caps_by_choice.items()
    ]
    judged = dict(zip(caps_by_choice, _readings(model, requests, batch_size), strict=True))
    return [
        [
            (by_cap[answer_cap], judged.get((index, chosen_answer(by_cap[answer_cap])), {}).get(confidence_cap))
            for answer_cap, confidence_cap in cap_pairs
        ]
        for index, by_cap in enumerate(answers)
    ]


def chosen_answer(answer: Reading) -> int | None:
    """Index of the likeliest choice of the answer stage's read-out; None if it could not be read out."""
    (result,) = answer.readouts.values()
    return result and result.likeliest


def _readings(model, requests, batch_size) -> list[dict[int, Reading]]:
    """Per request its readings by cap."""
    readings = []
    for start in range(0, len(requests), batch_size):
        readings += model.read_thoughts(requests[start : start + batch_size])
    return [{reading.cap: reading for reading in of_request} for of_request in readings]
