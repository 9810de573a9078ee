"""What the demo model is trained on: token sequences and what to predict where, made during training, all different.

Prompts, closings and read-outs are the experiment's own, encoded by the experiment's own encoder.
"""
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from demo.task import (
    DEFAULT_BUDGET,
    GATEWAYS,
    LONGEST_CHAIN,
    N_LINKS,
    NAMES,
    OPTIONS,
    OTHER_HOPS,
    answer_thought,
    confidence_thought,
    honest_confidence,
    hops_seen,
    make_question,
    propose_answer,
    tokens_needed,
)
from evaluation_tool import CONFIDENCE_READOUT, P_TRUE_READOUT, answer_prompt, answer_readout, confidence_prompt
from thinking.prompt_encoder import PromptEncoder

ANSWER_READOUT = answer_readout(len(OPTIONS))
CERTAIN = 0.97  # stated if the thought reached the gateway; the rest is for mistakes in the thought
CONFIDENCE_STEP = 0.05  # a confidence is drawn from the two nearest multiples, so that the mean is right
WEIGHTS = {  # in the loss, by kind of target
    "filler": 0.25,
    "lookup": 1.0,  # where a link leads
    "verdict": 4.0,  # the end of a thought: exit, proposed, yes or no
    "answer": 2.0,
    "guess": 0.3,  # the answer after a thought that was cut too early
    "confidence": 1.0,
    "cut confidence": 0.6,
}
CONFIDENCE_STAGE_SHARE = 0.5  # of the questions
P_TRUE_SHARE = 0.35  # of the read-outs of the confidence stage
CUT_SHARE = 0.4  # of the thoughts of the answer stage
NO_THOUGHT_SHARE = 0.12  # of cut thoughts: budget 0
UNCUT_CONFIDENCE_SHARE = 0.15  # of the thoughts of the confidence stage: more budget than the default


@dataclass(frozen=True)
class Target:
    """The token to predict after sequence position `position`; `share` is its probability there."""

    position: int
    token: int
    kind: str
    share: float = 1.0


@dataclass
class Sequence:
    """One training sequence; tokens without a target are only read."""

    ids: list[int] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def read(self, ids: list[int]) -> None:
        """Appends forced tokens."""
        self.ids += ids

    def learn(self, ids: list[int], kinds: list[str]) -> None:
        """Appends tokens that the model should write itself."""
        for token, kind in zip(ids, kinds, strict=True):
            self.targets.append(Target(len(self.ids) - 1, token, kind))
            self.ids.append(token)

    def learn_distribution(self, shares: dict[int, float], kind: str) -> None:
        """Targets after the last token: each token with its probability."""
        self.targets += [Target(len(self.ids) - 1, token, kind, share) for token, share in shares.items() if share]


@dataclass(frozen=True)
class ChainLesson:
    """Questions with chains of up to longest_chain hops in tables of n_links[0]..n_links[1] links."""

    name: str
    longest_chain: int
    other_hops: tuple[int, int]
    n_links: tuple[int, int]

    def question(self, random: Random):
        """A question of this lesson; its table is large enough for its chains."""
        hops = random.randint(1, self.longest_chain)
        at_least = hops + (len(GATEWAYS) - 1) * self.other_hops[1] + 2
        n_links = max(at_least, random.randint(*self.n_links))
        return make_question(random, hops, self.other_hops, n_links)


@dataclass(frozen=True)
class DrillLesson:
    """Tables written several times in new orders, so that every repeated link is a lookup."""

    name: str
    n_links: tuple[int, int]
    steps: int
    sequence_tokens: int
    comparisons: float  # share of sequences that drill the comparison of two gateways instead


CURRICULUM = (
    DrillLesson("lookup drill", n_links=(6, 14), steps=130, sequence_tokens=72, comparisons=0.15),
    ChainLesson("chains up to 6", 6, other_hops=(1, 3), n_links=(12, 40)),
    ChainLesson("chains up to 35", 35, other_hops=(2, 5), n_links=(30, 80)),
    ChainLesson("all chains", LONGEST_CHAIN, OTHER_HOPS, (N_LINKS, N_LINKS)),
)


class LessonWriter:
    """Writes training sequences with the experiment's own prompts, closings and read-outs."""

    def __init__(self, encoder: PromptEncoder, random: Random):
        self.encoder, self.random = encoder, random
        self._close = encoder.encode_closing("natural")
        self._capped_close = encoder.encode_closing("capped")
        self._from = {name: self._one_token(f" {name}") for name in NAMES}
        self._to = {name: self._one_token(f">{name}") for name in (*NAMES, *GATEWAYS)}
        self._lookups = set(self._to.values())
        self._gateway_tokens = {gateway: self._one_token(f" {gateway}") for gateway in GATEWAYS}
        self._verdicts = {*self._gateway_tokens.values(), self._one_token(" yes"), self._one_token(" no")}

    def write(self, lesson: ChainLesson | DrillLesson) -> Sequence:
        """One sequence of the lesson."""
        if isinstance(lesson, DrillLesson):
            compare = self.random.random() < lesson.comparisons
            return self._comparison_drill(lesson) if compare else self._lookup_drill(lesson)
        question = lesson.question(self.random)
        if self.random.random() < CONFIDENCE_STAGE_SHARE:
            return self._confidence_stage(question)
        return self._answer_stage(question)

    def _one_token(self, text):
        (token,) = self.encoder.encode_plain(text)
        return token

    def _answer_stage(self, question):
        cap = None
        if self.random.random() < CUT_SHARE:
            no_thought = self.random.random() < NO_THOUGHT_SHARE
            cap = 0 if no_thought else self.random.randint(1, tokens_needed(question.hops))
        sequence, seen = self._thought(answer_prompt(question.text, OPTIONS), answer_thought(question), cap)
        sequence.read(self.encoder.encode_plain(ANSWER_READOUT.prefix))
        if seen >= question.hops:
            sequence.learn([self._gateway_tokens[question.gateway]], ["answer"])
        else:
            sequence.learn_distribution({token: 1 / len(GATEWAYS) for token in self._gateway_tokens.values()}, "guess")
        return sequence

    def _confidence_stage(self, question):
        cap = self._judge_budget()
        proposed = propose_answer(self.random, question, DEFAULT_BUDGET if cap is None else cap)
        prompt = confidence_prompt(question.text, OPTIONS, GATEWAYS.index(proposed))
        sequence, seen = self._thought(prompt, confidence_thought(question, proposed), cap)
        if seen >= question.hops:
            probability, kind = (CERTAIN if proposed == question.gateway else 1 - CERTAIN), "confidence"
        else:
            probability, kind = honest_confidence(cap), "cut confidence"
        if self.random.random() < P_TRUE_SHARE:
            self._p_true(sequence, probability, kind)
        else:
            self._stated_confidence(sequence, probability, kind)
        return sequence

    def _judge_budget(self):
        """The judge's thinking cap; None for no cap."""
        if self.random.random() < UNCUT_CONFIDENCE_SHARE:
            return None
        return 0 if self.random.random() < NO_THOUGHT_SHARE else self.random.randint(1, DEFAULT_BUDGET)

    def _thought(self, prompt, thought, cap):
        """Sequence up to the closed think block, and the whole hops that the thought has written down."""
        sequence = Sequence(self.encoder.encode_prompt(prompt, thinking=cap != 0).ids)
        if cap == 0:
            return sequence, 0
        ids = self.encoder.encode_plain(thought)
        shown = ids if cap is None else ids[:cap]
        sequence.learn(shown, [self._thought_kind(token) for token in shown])
        if cap is None or cap > len(ids):  # the closing tag takes a sample of its own
            sequence.learn(self._close[:1], ["filler"])
            sequence.read(self._close[1:])
        else:
            sequence.read(self._capped_close)
        return sequence, hops_seen(len(shown))

    def _thought_kind(self, token):
        return "lookup" if token in self._lookups else "verdict" if token in self._verdicts else "filler"

    def _stated_confidence(self, sequence, probability, kind):
        if kind == "cut confidence":
            steps = int(probability / CONFIDENCE_STEP + self.random.random())
            probability = min(max(steps, 1) * CONFIDENCE_STEP, 1 - CONFIDENCE_STEP)
        prefix = self.encoder.encode_plain(CONFIDENCE_READOUT.prefix)
        spelling = self.encoder.encode_plain(f"{CONFIDENCE_READOUT.prefix} {probability:.2f}")[len(prefix) :]
        sequence.read(prefix)
        sequence.learn(spelling, ["filler"] * (len(spelling) - 2) + [kind] * 2)

    def _p_true(self, sequence, probability, kind):
        sequence.read(self.encoder.encode_plain(P_TRUE_READOUT.prefix))
        shares = {}
        for spellings, share in zip(P_TRUE_READOUT.choices, (probability, 1 - probability), strict=True):
            shares[self._one_token(spellings[0])] = share
        sequence.learn_distribution(shares, kind)

    def _lookup_drill(self, lesson):
        n_links = self.random.randint(*lesson.n_links)
        ends = self.random.sample(NAMES, n_links - len(GATEWAYS)) + list(GATEWAYS)
        self.random.shuffle(ends)
        links = list(zip(self.random.sample(NAMES, n_links), ends, strict=True))
        sequence = Sequence()
        while len(sequence.ids) < max(lesson.sequence_tokens, 4 * n_links):
            repeated = bool(sequence.ids)
            self.random.shuffle(links)
            for source, target in links:
                sequence.read([self._from[source]])
                if repeated:
                    sequence.learn([self._to[target]], ["lookup"])
                else:
                    sequence.read([self._to[target]])
        return sequence

    def _comparison_drill(self, lesson):
        sequence = Sequence()
        while len(sequence.ids) < lesson.sequence_tokens:
            gateway = self.random.choice(GATEWAYS)
            proposed = gateway if self.random.random() < 0.5 else self.random.choice(GATEWAYS)
            verdict = "yes" if proposed == gateway else "no"
            *reading, last = self.encoder.encode_plain(f", exit {gateway}, proposed {proposed}: {verdict}")
            sequence.read(reading)
            sequence.learn([last], ["verdict"])
        return sequence


def batches(writer: LessonWriter, lesson, tokens_per_batch: int, pool_size: int = 256) -> Iterator[list[Sequence]]:
    """Batches of sequences of similar length, in random order; an incomplete batch is dropped."""
    pool = sorted((writer.write(lesson) for _ in range(pool_size)), key=lambda sequence: len(sequence.ids))
    full, batch = [], []
    for sequence in pool:
        if batch and len(sequence.ids) * (len(batch) + 1) > tokens_per_batch:
            full.append(batch)
            batch = []
        batch.append(sequence)
    writer.random.shuffle(full)
    yield from full
