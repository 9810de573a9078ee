"""The search over every candidate of a cascade: which cell of the last run, which tiers, which rule."""
from dataclasses import dataclass

import numpy as np

from cascade.certificate import ERROR_LEVEL, READINGS, Certified, cheapest_certified, walks
from cascade.routing import Routed, route, route_to_expert
from cascade.tiers import RULES, Tier


@dataclass(frozen=True)
class Cascade:
    """All that can be deployed: the tiers of the earlier runs, one per run, and those of the last, one per cell."""

    early: list[Tier]
    last: list[Tier]
    expert_cost: float

    @property
    def n_questions(self) -> int:
        """Questions that all tiers share."""
        return len(self.last[0])

    @property
    def has_uncertainty(self) -> bool:
        """Whether every tier has an uncertainty of some question; without it there is the plain rule alone."""
        return not any(np.isnan(tier.uncertainty).all() for tier in (*self.early, *self.last))

    def of(self, questions: np.ndarray) -> "Cascade":
        """The same cascade over some of its questions."""
        early, last = ([tier.of(questions) for tier in tiers] for tiers in (self.early, self.last))
        return Cascade(early, last, self.expert_cost)


@dataclass(frozen=True)
class Candidate:
    """A deployment but for its thresholds. runs: numbers of the runs that are its tiers, from 0, in their order.

    cell: index of the last run's cell; None if the last run is not among its tiers.
    """

    runs: tuple[int, ...]
    cell: int | None
    rule: str

    def tiers(self, cascade: Cascade) -> list[Tier]:
        """Its tiers."""
        all_tiers = [*cascade.early, *([] if self.cell is None else [cascade.last[self.cell]])]
        return [all_tiers[run] for run in self.runs]

    def route(self, cascade: Cascade, certified: Certified | None) -> Routed:
        """What it does with every question; the expert answers all of them if nothing is certified."""
        if certified is None:
            return route_to_expert(cascade.n_questions, cascade.expert_cost)
        return route(self.tiers(cascade), certified.thresholds, cascade.expert_cost)


def candidates(cascade: Cascade) -> list[Candidate]:
    """Every candidate: per cell of the last run all tiers, and this one alone; then each earlier run alone."""
    n_early = len(cascade.early)
    rules = RULES if cascade.has_uncertainty else RULES[:1]
    of_cells = [
        Candidate(runs, cell, rule)
        for cell in range(len(cascade.last))
        for runs in (tuple(range(n_early + 1)), (n_early,))
        for rule in rules
    ]
    return of_cells + [Candidate((run,), None, rule) for run in range(n_early) for rule in rules]


def candidate_level(candidate: Candidate, cascade: Cascade) -> float:
    """What of ERROR_LEVEL a candidate may use under one reading of the risk.

    The readings share it equally, then the cells of the last run and the earlier runs, then the candidates of each.
    """
    n_rules = len(RULES) if cascade.has_uncertainty else 1
    n_groups = len(cascade.last) + len(cascade.early)
    n_of_group = n_rules * (1 if candidate.cell is None else 2)
    return ERROR_LEVEL / len(READINGS) / n_groups / n_of_group


def search(cascade: Cascade, target_error: float) -> dict[str, dict[Candidate, Certified | None]]:
    """By reading of the risk, and by candidate, its cheapest certified thresholds; None where none are certified.

    With probability 1 - ERROR_LEVEL the risk of everything certified here, under both readings, is below target_error.
    """
    found: dict[str, dict[Candidate, Certified | None]] = {reading: {} for reading in READINGS}
    for candidate in candidates(cascade):
        of_candidate = walks(candidate.tiers(cascade), candidate.rule, cascade.expert_cost)
        level = candidate_level(candidate, cascade)
        for reading, certified in found.items():
            certified[candidate] = cheapest_certified(
                of_candidate, cascade.n_questions, reading, target_error, level
            )
    return found


def cheapest(certified: dict[Candidate, Certified | None], expert_cost: float) -> Candidate | None:
    """The candidate with the lowest certified cost on its sample; None if nothing certified costs less than the expert.

    Of equally cheap ones the first.
    """
    given = {one: found.cost for one, found in certified.items() if found is not None and found.cost < expert_cost}
    return min(given, key=given.get) if given else None
