"""The units of a run: each thought about every question in each order of its options, the longest question first."""
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from basics.errors import UserError, one_line
from evaluation_tool import answer_request, confidence_request
from questions.option_orders import Unit, permuted
from questions.question import Question
from runs.budgets import Cell

CLOSE_TO_CONTEXT = 64  # tokens; more than the orders of a question's options can differ in length
_UNITS_AT_ONCE = 256  # measured at a time: bounds memory


@dataclass(frozen=True)
class Workload:
    """What a run computes.

    questions: those used. units: of them, by falling length of their prompts, so that a batch holds little padding.
    tokens_per_row: that the longest unit needs, with its thought and read-outs. readings: of a thought at most, one per
    cap. too_long: {"row", "reason"} of each
    question left out because the model's context does not hold it.
    """

    questions: list[Question]
    units: list[Unit]
    tokens_per_row: int
    readings: int
    too_long: list[dict[str, str]]

    def remark(self) -> str | None:
        """A line on the questions left out; None if there are none."""
        if not self.too_long:
            return None
        n_questions = len(self.questions) + len(self.too_long)
        first = one_line(f"question {self.too_long[0]['row']!r}: {self.too_long[0]['reason']}")
        return f"Skipping {len(self.too_long):,} of {n_questions:,} questions, listed in config.json; {first}"


def make_units(questions: list[Question], n_permutations: int, seed: int, n_thoughts: int = 1) -> list[Unit]:
    """Every question in each order of its options, as often as it is thought about."""
    orders = (permuted(question, number, seed) for question in questions for number in range(n_permutations))
    return [replace(unit, thought=thought) for unit in orders for thought in range(n_thoughts)]


def make_workload(units: list[Unit], encoder, cells: list[Cell]) -> Workload:
    """The workload of these units. A question that is too long in one of its orders is left out in all.

    Raises UserError if no question is left.
    """
    needed, too_long = _lengths(units, encoder, cells)
    order = [index for index, unit in enumerate(units) if unit.question.question_id not in too_long]
    if not order:
        shortest = min(too_long, key=too_long.get)
        raise UserError(
            f"question {shortest!r}: {_too_long(too_long[shortest], encoder)}, and no other question of the run needs"
            " less; lower TOTAL_BUDGET or use shorter questions"
        )
    order.sort(key=lambda index: -needed[index])
    kept = {unit.question.question_id: unit.question for unit in units if unit.question.question_id not in too_long}
    return Workload(
        questions=list(kept.values()),
        units=[units[index] for index in order],
        tokens_per_row=needed[order[0]],
        readings=max(len(caps) for caps in _caps(cells)),
        too_long=[{"row": name, "reason": _too_long(length, encoder)} for name, length in too_long.items()],
    )


def _lengths(units, encoder, cells) -> tuple[array, dict[str, int]]:
    """Tokens that each unit needs, and by question id those that need more than the context holds.

    A question is measured in the first of its orders. Another order can differ by a token where texts meet, so close
    to the context each order is measured.
    """
    caps, context, first = _caps(cells), encoder.context_length, {}
    for unit in units:
        first.setdefault(unit.question.question_id, unit)
    of_question = dict(zip(first, tokens_needed(list(first.values()), encoder, *caps), strict=True))
    lengths = array("q", (of_question[unit.question.question_id] for unit in units))
    close = [index for index, length in enumerate(lengths) if length > context - CLOSE_TO_CONTEXT]
    for index, length in zip(close, tokens_needed([units[index] for index in close], encoder, *caps), strict=True):
        lengths[index] = length
    too_long: dict[str, int] = {}
    for unit, length in zip(units, lengths, strict=True):
        if length > context:
            too_long[unit.question.question_id] = max(length, too_long.get(unit.question.question_id, 0))
    return lengths, too_long


def _caps(cells: list[Cell]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Distinct caps of the answer stage and of the confidence stage."""
    return tuple({cell.answer_budget for cell in cells}), tuple({cell.confidence_budget for cell in cells})


def tokens_needed(
    units: list[Unit], encoder, answer_caps: tuple[int, ...], confidence_caps: tuple[int, ...]
) -> Iterator[int]:
    """Per unit the tokens of context that the longer of its stages takes, the longest option proposed."""
    for start in range(0, len(units), _UNITS_AT_ONCE):
        some = units[start : start + _UNITS_AT_ONCE]
        lengths = map(len, encoder.encode_plain_texts([option for unit in some for option in unit.options]))
        requests = []
        for unit in some:
            of_options = list(islice(lengths, len(unit.options)))
            longest_option = of_options.index(max(of_options))
            requests.append(answer_request(unit, answer_caps, 0))
            requests.append(confidence_request(unit, longest_option, confidence_caps, 0))
        needed = encoder.tokens_needed(requests)
        yield from map(max, needed[::2], needed[1::2])


def _too_long(length, encoder):
    return (
        f"prompt, thinking budget and read-outs need {length:,} tokens, the model's context holds"
        f" {encoder.context_length:,}"
    )
