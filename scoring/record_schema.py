"""The fields of a record, one line of `records.jsonl`: the declaration from which all that handles records derives.

A unit is one thought about a question in one order of its options; a cell is one total budget and ratio. A record is
a unit in a cell.
"""
from dataclasses import replace
from functools import partial

from scoring.fields import Field

STAGES = ("answer", "confidence")
STOPS = ("natural", "capped", "none")

_COUNT = {"kind": "whole number", "span": (0, None)}
_READ = {"kind": "number", "span": (0, 1), "is_nullable": True}  # of a read-out, which an error can prevent
_by_unit, _by_cell = partial(Field, filled_by="unit"), partial(Field, filled_by="cell")
_by_answer, _by_confidence = partial(Field, filled_by="answer stage"), partial(Field, filled_by="confidence stage")

# The same for both stages, in a record with the stage's name before it. null: the stage did not run.
STAGE_FIELDS = (
    Field("thinking", "text", "text of the thought; a character that was cut shows as U+FFFD", is_nullable=True),
    Field("thinking_ids", "whole number", "token ids of the thought, exact", is_list=True, is_nullable=True),
    Field(
        "thinking_tokens", **_COUNT, unit="tokens", is_nullable=True, role="tokens",
        meaning="thinking tokens that were sampled, at most the cap of the stage",
    ),
    Field(
        "stopped", "text", choices=STOPS, is_nullable=True, role="stop",
        meaning="how the thought ended: the model closed it, the cap closed it, or the cap is 0 and there is none;"
        " `null` also if it broke off with an error",
    ),
    Field(
        "prompt_tokens", **_COUNT, unit="tokens", is_nullable=True, role="tokens",
        meaning="tokens of the prompt as the chat template renders it",
    ),
    Field(
        "injected_tokens", **_COUNT, unit="tokens", is_nullable=True, role="tokens",
        meaning="tokens of think tags and closing text",
    ),
    Field(
        "readout_tokens", **_COUNT, unit="tokens", is_nullable=True, role="tokens",
        meaning="tokens fed for the read-outs, candidates included",
    ),
)  # fmt: skip


def _of_stage(stage: str) -> tuple[Field, ...]:
    return tuple(replace(one, name=f"{stage}_{one.name}", filled_by=f"{stage} stage") for one in STAGE_FIELDS)


RECORD_FIELDS = (
    _by_unit("question_id", "text", "id in the question set; a hash of question and options where the set has none"),
    _by_unit("category", "text", "as in the question set", is_nullable=True),
    _by_unit("permutation", **_COUNT, meaning="number of the order of the options; 0 is the order as given"),
    _by_unit("thought", **_COUNT, meaning="number of the thought about the question in this order, from 0"),
    _by_cell("total_budget", **_COUNT, unit="tokens", meaning="thinking tokens of both stages together, at most"),
    _by_cell(
        "answer_thinking_ratio", "number", span=(0, 1), is_nullable=True,
        meaning="share of the budget for the answer stage; `null` at total budget 0",
    ),
    _by_cell("answer_budget", **_COUNT, unit="tokens", meaning="cap of the answer stage"),
    _by_cell("confidence_budget", **_COUNT, unit="tokens", meaning="cap of the confidence stage"),
    _by_unit("question", "text", "text of the question as shown"),
    _by_unit("options", "text", "the options as shown", is_list=True),
    _by_unit(
        "option_order", "whole number", span=(0, None), is_list=True,
        meaning="per option as shown its index in the order as given",
    ),
    _by_unit("correct_option", **_COUNT, meaning="index of the right option, as shown"),
    _by_answer("predicted_option", **_COUNT, is_nullable=True, meaning="index of the likeliest option, as shown"),
    Field(
        "is_correct", "truth value", "whether the predicted option is the right one", is_nullable=True,
        filled_by="scoring",
    ),
    _by_answer("answer_probabilities", **_READ, is_list=True, meaning="over the options as shown; they add up to 1"),
    _by_answer("answer_probability", **_READ, role="confidence", meaning="probability of the predicted option"),
    _by_answer("answer_readout_mass", **_READ, role="mass", meaning="mass of the answer read-out"),
    _by_confidence(
        "confidence", **_READ, role="confidence",
        meaning="verbalised confidence: the likeliest of the numbers 0.00 to 1.00 in steps of 0.01",
    ),
    _by_confidence(
        "confidence_expectation", **_READ, role="confidence", meaning="mean of these numbers under their probabilities",
    ),
    _by_confidence("confidence_readout_mass", **_READ, role="mass", meaning="mass of the confidence read-out"),
    _by_confidence(
        "p_true", **_READ, role="confidence",
        meaning="P(True): probability of yes, against no, that the proposed answer is correct",
    ),
    _by_confidence("p_true_readout_mass", **_READ, role="mass", meaning="mass of the P(True) read-out"),
    *_of_stage("answer"),
    *_of_stage("confidence"),
    Field(
        "error", "text", is_nullable=True, filled_by="both stages",
        meaning="what went wrong (logits that are not finite); such a record is counted and not scored; if it has an"
        " answer, that answer ranks last",
    ),
)  # fmt: skip


def names_filled_by(*sources: str) -> tuple[str, ...]:
    """Names of the fields that a unit, a cell, a stage or the scoring fills, in their order."""
    return tuple(one.name for one in RECORD_FIELDS if one.filled_by in sources)


def _names_of(role: str, *sources: str) -> tuple[str, ...]:
    return tuple(one.name for one in RECORD_FIELDS if one.role == role and (not sources or one.filled_by in sources))


CELL_NAMES = names_filled_by("cell")
UNIT_NAMES = ("question_id", "permutation", "thought")  # no two units have them equal
# The headline measure comes first.
CONFIDENCE_NAMES = (*_names_of("confidence", "confidence stage"), *_names_of("confidence", "answer stage"))
CONFIDENCE_TITLES = {
    "confidence": "verbalised confidence",
    "confidence_expectation": "expectation of the verbalised confidence",
    "p_true": "P(True)",
    "answer_probability": "answer probability",
}
MASS_NAMES = _names_of("mass")
MASS_OF = {  # confidence -> mass of the read-out that it comes from
    "confidence": "confidence_readout_mass",
    "confidence_expectation": "confidence_readout_mass",
    "p_true": "p_true_readout_mass",
    "answer_probability": "answer_readout_mass",
}
STOPPED_NAMES = _names_of("stop")
COUNT_NAMES = _names_of("tokens")
TOKEN_NAMES = tuple(one.name for one in STAGE_FIELDS if one.role == "tokens")
