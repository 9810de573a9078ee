"""The demo's task: follow a packet through a routing table, hop by hop, to the gateway where it leaves.

A question's difficulty is its number of hops. A thought writes down one hop per TOKENS_PER_HOP tokens. So a thinking
budget reaches a number of hops, and arithmetic gives what an ideal reasoner knows at any cap.
"""
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from random import Random

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
GATEWAYS = ("A", "B", "C", "D")  # named by their option letter, so the options are never permuted
OPTIONS = tuple(f"gateway {gateway}" for gateway in GATEWAYS)
LONGEST_CHAIN = 60  # hops; the asked chain has 1..LONGEST_CHAIN hops, all equally likely
N_LINKS = 80  # always the same: the size of the table must not show the length of the chain
OTHER_HOPS = (4, 6)  # fewest and most hops of the three chains to the other gateways, whatever the asked chain's length

OPENING_TOKENS = 2  # "We start"
TOKENS_PER_HOP = 5  # ", then from kem>bod"
DEFAULT_BUDGET = 200  # total thinking tokens; the confidence is calibrated along the splits of this budget
SPLIT_SHARE = 0.9  # share of judged answers that come from the complementary budget, DEFAULT_BUDGET minus the judge's


def _make_names(n_names):
    random, names = Random(5), []
    while len(names) < n_names:
        name = random.choice(CONSONANTS) + random.choice(VOWELS) + random.choice(CONSONANTS)
        if name not in names:
            names.append(name)
    return tuple(names)


NAMES = _make_names(100)


# --- questions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RoutingQuestion:
    """A table of links (from, to) in the order shown, and the chain that the packet takes.

    chain: names from the entry to the last one before the gateway, one per hop.
    """

    links: tuple[tuple[str, str], ...]
    chain: tuple[str, ...]
    gateway: str

    @property
    def hops(self) -> int:
        """Links from the entry to the gateway."""
        return len(self.chain)

    @property
    def correct_option(self) -> int:
        """Index into OPTIONS."""
        return GATEWAYS.index(self.gateway)

    @property
    def text(self) -> str:
        """The question as it is asked, without its options."""
        table = " ".join(f"{source}>{target}" for source, target in self.links)
        return (
            f"Routing table ({len(self.links)} links): {table}\n"
            f"A packet enters at {self.chain[0]}. At which gateway does it leave?"
        )


def _links_along(names, end):
    return list(zip(names, [*names[1:], end], strict=True))


def make_question(random: Random, hops: int, other_hops: tuple[int, int], n_links: int) -> RoutingQuestion:
    """A random table in which the asked chain has `hops` hops.

    Three more chains lead to the other gateways, each of other_hops[0]..other_hops[1] hops. The remaining links, at
    least two, form one ring that leads nowhere. The length of a chain depends on no other chain's.
    """
    lengths = [hops, *(random.randint(*other_hops) for _ in GATEWAYS[1:])]
    names, gateways = random.sample(NAMES, n_links), random.sample(GATEWAYS, len(GATEWAYS))
    links, start = [], 0
    for length, gateway in zip(lengths, gateways, strict=True):
        links += _links_along(names[start : start + length], gateway)
        start += length
    ring = names[start:]
    assert len(ring) >= 2, "no links left for the ring"
    links += _links_along(ring, ring[0])
    random.shuffle(links)
    return RoutingQuestion(tuple(links), tuple(names[:hops]), gateways[0])


def make_demo_question(random: Random) -> RoutingQuestion:
    """A question of the published kind: 1..LONGEST_CHAIN hops, N_LINKS links."""
    return make_question(random, random.randint(1, LONGEST_CHAIN), OTHER_HOPS, N_LINKS)


# --- thoughts ----------------------------------------------------------------------------------------------------


def _retraced(question):
    stations = [*question.chain, question.gateway]
    hops = "".join(f", then from {source}>{target}" for source, target in pairwise(stations))
    return f"We start{hops}, exit {question.gateway}"


def answer_thought(question: RoutingQuestion) -> str:
    """The whole thought of the answer stage."""
    return _retraced(question)


def confidence_thought(question: RoutingQuestion, proposed: str) -> str:
    """The whole thought of the confidence stage: the chain again, then the comparison with the proposed gateway."""
    return f"{_retraced(question)}, proposed {proposed}: {'yes' if proposed == question.gateway else 'no'}"


# --- what an ideal reasoner knows --------------------------------------------------------------------------------


def tokens_needed(hops: int) -> int:
    """Thinking tokens that a thought needs to reach the gateway."""
    return OPENING_TOKENS + TOKENS_PER_HOP * hops


def hops_seen(thinking_tokens: int) -> int:
    """Whole hops in a thought of so many tokens."""
    return max(0, (thinking_tokens - OPENING_TOKENS) // TOKENS_PER_HOP)


def frequency_correct(hops: int, answer_budget: int) -> float:
    """How often the answer is right: always if the budget reaches the gateway, else as often as a guess."""
    return 1.0 if tokens_needed(hops) <= answer_budget else 1 / len(GATEWAYS)


def frequency_correct_beyond(hops_excluded: int, answer_budget: int) -> float:
    """How often the answer is right, knowing only that its chain is longer than `hops_excluded`."""
    possible = range(hops_excluded + 1, LONGEST_CHAIN + 1)
    return sum(frequency_correct(hops, answer_budget) for hops in possible) / len(possible)


@cache
def honest_confidence(thinking_tokens: int) -> float:
    """How often a proposed answer is right when the judge's thought was cut before it reached the gateway.

    The training's own mixture: SPLIT_SHARE of the answers come from the complementary budget, the others from a budget
    drawn evenly from 0..DEFAULT_BUDGET.
    """
    seen = hops_seen(thinking_tokens)
    budgets = range(DEFAULT_BUDGET + 1)
    along_split = frequency_correct_beyond(seen, max(0, DEFAULT_BUDGET - thinking_tokens))
    anywhere = sum(frequency_correct_beyond(seen, budget) for budget in budgets) / len(budgets)
    return SPLIT_SHARE * along_split + (1 - SPLIT_SHARE) * anywhere


def propose_answer(random: Random, question: RoutingQuestion, judge_budget: int) -> str:
    """The gateway that an ideal answer stage proposes, its budget drawn as `honest_confidence` assumes."""
    on_split = random.random() < SPLIT_SHARE
    answer_budget = max(0, DEFAULT_BUDGET - judge_budget) if on_split else random.randint(0, DEFAULT_BUDGET)
    reached = tokens_needed(question.hops) <= answer_budget
    return question.gateway if reached else random.choice(GATEWAYS)
