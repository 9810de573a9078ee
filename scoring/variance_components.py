"""Where the variance of a score comes from: which questions were asked, in which order, and the draw of the thought.

A nested random-effects model: thoughts within orders within questions. The components are those that make the expected
sums of squares equal to the observed ones, whatever the number of records per group (Searle, Casella and McCulloch
1992, Variance Components; Henderson's method I).
"""
import numpy as np

from scoring.summary_schema import SOURCES


def variance_components(values: np.ndarray, question: np.ndarray, permutation: np.ndarray) -> dict[str, float | None]:
    """The variance between SOURCES, and `share_from_questions`, in [0, 1], of the variance of the mean.

    values: (n,) floats; question, permutation: (n,) ints. Records that have both equal are thoughts on one prompt. A
    source is None where nothing tells it from another: with one permutation, one thought or one question. An estimate
    can lie below 0, and the share counts such a one as 0. The share is None without `within_questions` or any variance.
    """
    nothing = dict.fromkeys((*SOURCES, "share_from_questions"))
    n, values = len(values), np.asarray(values, float)
    questions, question = np.unique(question, return_inverse=True)
    _, first, order = np.unique(question * (permutation.max(initial=0) + 1) + permutation, return_index=True,
                                return_inverse=True)  # fmt: skip
    of_question, of_order = np.bincount(question), np.bincount(order)
    n_groups = {"questions": len(questions), "permutations": len(of_order), "sampling": n}
    free = dict(zip(n_groups, np.diff([1, *n_groups.values()]).tolist(), strict=True))
    if free["questions"] < 1 or free["permutations"] + free["sampling"] < 1:
        return nothing
    mean_of_question = np.bincount(question, values) / of_question
    mean_of_order = np.bincount(order, values) / of_order
    squares = {
        "questions": np.sum((mean_of_question[question] - values.mean()) ** 2),
        "permutations": np.sum((mean_of_order[order] - mean_of_question[question]) ** 2),
        "sampling": np.sum((values - mean_of_order[order]) ** 2),
    }
    # Sums of the numbers of records per group, squared: how often a component enters a sum of squares.
    per_question = np.sum(of_question**2) / n
    per_order = np.sum(of_order**2) / n
    orders_per_question = np.sum(of_order**2 / of_question[question[first]])
    sampling = squares["sampling"] / free["sampling"] if free["sampling"] else 0.0
    permutations = 0.0
    if free["permutations"]:  # with one thought, what sampling adds is in here
        permutations = (squares["permutations"] - free["permutations"] * sampling) / (n - orders_per_question)
    inside = (orders_per_question - per_order) * permutations + free["questions"] * sampling
    between = (squares["questions"] - inside) / (n - per_question)
    parts = [max(0.0, between) * per_question, max(0.0, permutations) * per_order, sampling]
    is_told = free["permutations"] > 0 and free["sampling"] > 0
    return {
        "questions": float(between),
        "permutations": float(permutations) if is_told else None,
        "sampling": float(sampling) if free["sampling"] else None,
        "within_questions": float(permutations + sampling),
        "share_from_questions": float(parts[0] / sum(parts)) if sum(parts) else None,
    }
