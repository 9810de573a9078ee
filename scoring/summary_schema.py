"""The fields of a cell in `summary.json`, and of each confidence in it: the declaration from which the rest derives.

A metric with an interval is a function in `metrics.METRICS` and a declaration here, of the same name; the interval is
made in `cell_intervals`.
"""
from functools import partial

from scoring.fields import Field
from scoring.record_schema import CONFIDENCE_NAMES, MASS_NAMES, RECORD_FIELDS, STAGES, TOKEN_NAMES

RECALIBRATIONS = ("isotonic", "platt")  # names of the methods in `recalibration.METHODS`

SOURCES = ("questions", "permutations", "sampling", "within_questions")  # of variance

_share = partial(Field, kind="number", span=(0, 1), is_nullable=True)
_count = partial(Field, kind="whole number", span=(0, None))
_objects = partial(Field, kind="object", is_list=True)


def _interval(name: str) -> Field:
    ends = (Field("low", "number"), Field("high", "number"))
    return Field(f"{name}_interval", "object", f"95% interval of `{name}`", parts=ends, is_nullable=True)


def _with_interval(metric: Field) -> tuple[Field, Field]:
    return metric, _interval(metric.name)


def _per_stage(name: str, parts: tuple[Field, ...], meaning: str) -> Field:
    return Field(name, "object", meaning, parts=tuple(Field(stage, "object", parts=parts) for stage in STAGES))


def _variance(name: str, of_what: str) -> Field:
    parts = [Field(source, "number", is_nullable=True) for source in SOURCES]
    return Field(
        name, "object", parts=(*parts, _share("share_from_questions")),
        meaning=f"variance {of_what} between `questions`, between the `permutations` of one, and between thoughts on"
        " the same prompt (`sampling`), `null` where there is but one; `within_questions` is what the last two make"
        " together; an estimate can lie below 0. `share_from_questions`: of the variance of the mean, what more"
        " permutations and thoughts cannot lower (Searle et al. 1992)",
    )


_CALIBRATION = (
    _share("brier"), _share("ece"), Field("log_score", "number", span=(0, None), is_nullable=True),
)  # fmt: skip

CONFIDENCE_FIELDS = (
    _count("n", meaning="records that have this confidence and no error"),
    _count("n_missing", meaning="records without"),
    _count("n_distinct", meaning="distinct values among the `n`; with few of them the confidence hardly ranks"),
    _share(
        "largest_tie_share",
        meaning="share of the `n` records that have the most frequent value; answers with one value cannot be ranked",
    ),
    _share("readout_mass", meaning="mean mass of the read-out behind it: low where it was forced on the model"),
    _share("mean_confidence", meaning="mean of the confidences"),
    _share(
        "ece", better="low",
        meaning="expected calibration error of the first answer to each question: 10 bins of equal width, 1.0 in"
        " the last (Naeini et al. 2015; Guo et al. 2017)",
    ),
    Field(
        "ece_if_calibrated", "object", parts=(_share("mean"), _share("low"), _share("high")),
        meaning="mean and 95% range of that ECE when outcomes are redrawn as Bernoulli(confidence); the ECE is biased"
        " upwards, so compare it with this instead of with 0",
    ),
    *_with_interval(_share(
        "brier", better="low",
        meaning="mean squared difference of confidence and correctness; it is `reliability` - `resolution` +"
        " `uncertainty` (Brier 1950)",
    )),
    *_with_interval(Field(
        "log_score", "number", span=(0, None), is_nullable=True, better="low",
        meaning="mean negative log-likelihood of right and wrong, in nats; confidences are clipped to 0.005 and 0.995"
        " (Good 1952)",
    )),
    Field(
        "recalibrated", "object",
        "scores after a map that was learnt on four fifths of the questions and judged on the last fifth, in turn:"
        " what a simple recalibration would mend; no verdict rests on it; `null` below 20 questions",
        parts=tuple(Field(method, "object", parts=_CALIBRATION) for method in RECALIBRATIONS),
    ),
    _share("reliability", better="low", meaning="part of the Brier score over distinct confidences (Murphy 1973)"),
    _share(
        "resolution", better="high",
        meaning="part of the Brier score; it says little where hardly two confidences are equal",
    ),
    _share("uncertainty", meaning="part of the Brier score: accuracy x (1 - accuracy)"),
    *_with_interval(_share(
        "auroc", better="high",
        meaning="probability that a right answer has more confidence than a wrong one, ties count half; `null` if all"
        " are right or all are wrong",
    )),
    *_with_interval(_share(
        "aurc", better="low",
        meaning="mean over ranks of the error rate among the most confident answers; errors are spread evenly over"
        " ties, missing confidences rank last (Geifman et al. 2019, arXiv 1805.08206)",
    )),
    *_with_interval(_share(
        "e_aurc", better="low",
        meaning="excess AURC: `aurc` minus that of the best ranking of the same answers: what the ranking alone loses"
        " (Geifman et al. 2019, arXiv 1805.08206)",
    )),
    *_with_interval(_share(
        "augrc", better="low",
        meaning="mean over coverages of the share of all answers that are used and wrong; ties and missing confidences"
        " as in `aurc` (Traub et al. 2024, arXiv 2407.01032)",
    )),
    _objects(
        "utilities",
        meaning="per `WRONG_ANSWER_COSTS` the mean worth of an answer: a right one 1, a wrong one minus its cost, a"
        " withheld one 0; it is given if the confidence is at least `break_even` = cost / (1 + cost), and `share_given`"
        " of the answers are; higher is better",
        parts=(
            Field("wrong_answer_cost", "number", span=(0, None)), _share("break_even"), _share("share_given"),
            *_with_interval(Field("utility", "number", span=(None, 1), is_nullable=True)),
        ),
    ),
    _share(
        "coverage_at_target", better="high",
        meaning="largest share of answers that could be used with an error rate of at most `target_error`, whole tie"
        " groups; it looks back: the threshold is picked on the same answers, so new ones will on average err more"
        " often. It has no interval, because it jumps when one answer changes",
    ),
    _share(
        "coverage_at_target_lower_bound", better="high",
        meaning="share of new answers that can be used at `target_error` at least, with probability 95%; 0 where no"
        " threshold was certified for it",
    ),
    *_with_interval(Field(
        "overconfidence", "number", span=(-1, 1), is_nullable=True, better="near 0",
        meaning="mean confidence minus accuracy",
    )),
    _share(
        "permutation_spread", better="low",
        meaning="standard deviation of a question's confidences over permutations, mean over questions; `null` with one"
        " permutation",
    ),
    _variance("variance", "of this confidence"),
    _objects(
        "bins", meaning="the reliability diagram",
        parts=(
            _share("lower"), _share("upper"), _count("count"), _share("mean_confidence"), _share("accuracy"),
        ),
    ),
    _objects(
        "guaranteed_thresholds",
        meaning="per target error rate the threshold from which on the error rate of new answers is at most the target"
        " with probability 95%, the share of the `n` first answers to each question that it leaves, and how many of"
        " those are wrong; of the certified thresholds the one that uses most answers, and the highest that uses the"
        " same; `null` where none was certified",
        parts=(
            Field("target_error", "number", span=(0, 1)), _count("n"), _share("threshold"), _share("coverage"),
            _count("n_used", is_nullable=True), _count("n_wrong", is_nullable=True),
        ),
    ),
)  # fmt: skip

_GROUP = (_count("n"), _count("n_questions"), *_with_interval(_share("accuracy")), _share("ece"))
_AUDIT = (
    _count("cap", unit="tokens"), _count("n_records"), _count("largest_overshoot", unit="tokens"),
    _share("share_capped"), Field("mean_thinking_tokens", "number", unit="tokens", is_nullable=True),
    _count("max_thinking_tokens", unit="tokens", is_nullable=True),
)  # fmt: skip
_STOPS = tuple(Field(stop, "object", parts=(_count("n"), _share("accuracy"))) for stop in ("natural", "capped"))

CELL_FIELDS = (
    *(one for one in RECORD_FIELDS if one.filled_by == "cell"),
    _count("n_questions", meaning="questions"),
    _count("n_records", meaning="records"),
    _count("n_errors", meaning="records with an error"),
    *_with_interval(_share("accuracy", meaning="share of right answers, of the records without error", better="high")),
    _variance("accuracy_variance", "of right (1) and wrong (0)"),
    _share(
        "answer_consistency", better="high",
        meaning="how often two permutations of a question choose the same option, mean over questions; `null` with one"
        " permutation",
    ),
    _share(
        "thought_consistency", better="high",
        meaning="how often two thoughts on the same order of a question choose the same option, mean over orders;"
        " `null` with one thought",
    ),
    Field(
        "confidences", "object", "per confidence the fields of the next table",
        parts=tuple(Field(name, "object", parts=CONFIDENCE_FIELDS) for name in CONFIDENCE_NAMES),
    ),
    Field(
        "risk_coverage", "object",
        "of the headline confidence, per threshold, falling: the share of answers at least this sure, and their error"
        " rate",
        parts=tuple(
            Field(name, "number", span=(0, 1), is_list=True) for name in ("threshold", "coverage", "selective_risk")
        ),
    ),
    Field("readout_masses", "object", "mean mass of each read-out", parts=tuple(map(_share, MASS_NAMES))),
    _per_stage(
        "accuracy_by_stop", _STOPS,
        "records without error whose thought the model closed (`natural`) and those whose thought the cap closed",
    ),
    _objects(
        "position_bias",
        meaning="per letter how often it is chosen, how often it is right, and the accuracy of the records where it is",
        parts=(
            Field("letter", "text"), _share("share_chosen"), _share("share_correct"), _share("accuracy_where_correct"),
        ),
    ),
    _objects(
        "per_permutation",
        meaning="per order of the options; `n` of records without error, `ece` of the first thoughts",
        parts=(_count("permutation"), *_GROUP),
    ),
    _objects(
        "per_category",
        meaning="per category of the question set; `n` of records without error, `ece` of the first answer to each"
        " question",
        parts=(Field("category", "text", is_nullable=True), *_GROUP),
    ),
    _per_stage(
        "budget_audit", _AUDIT,
        "how the stage kept its cap: records that ran it, largest overshoot (0 unless a cap leaked), share of thoughts"
        " that the cap closed, tokens used",
    ),
    _per_stage(
        "tokens", tuple(_count(name, unit="tokens") for name in TOKEN_NAMES),
        "sums over the records, as if the cell had run alone",
    ),
)  # fmt: skip
