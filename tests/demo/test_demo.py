"""The demo: its arithmetic, its files, and that the model still fits the experiment's prompts. Trains nothing."""
import json
import re
from collections import Counter
from random import Random

import numpy as np
import pytest
import torch

from demo.fingerprint import is_stale
from demo.ideal import ideal_accuracy, ideal_aurc, ideal_auroc, ideal_coverage
from demo.lessons import CURRICULUM, LessonWriter
from demo.make_questions import N_QUESTIONS, category, make_rows
from demo.make_tokenizer import make_tokenizer
from demo.measure import DEMO, SAMPLING, read_units
from demo.task import (
    GATEWAYS,
    LONGEST_CHAIN,
    NAMES,
    OPTIONS,
    answer_thought,
    confidence_thought,
    honest_confidence,
    hops_seen,
    make_demo_question,
    tokens_needed,
)
from demo.train_demo_model import make_model
from evaluation_tool import (
    CONFIDENCE_READOUT,
    P_TRUE_READOUT,
    answer_readout,
    answer_request,
    confidence_request,
)
from hugging_face_model import HuggingFaceModel
from questions.question_sets import load_questions
from runs.budgets import split_budget
from thinking.prompt_encoder import PromptEncoder
from thinking.two_stages import chosen_answer

MODEL, QUESTIONS = DEMO / "model", DEMO / "questions.jsonl"
ONE_TOKEN_WORDS = [*(f" {name}" for name in (*NAMES, *GATEWAYS)), *(f">{name}" for name in (*NAMES, *GATEWAYS))]
ONE_TOKEN_WORDS += [" yes", " no", *"0123456789"]


@pytest.fixture(scope="module")
def encoder():
    return PromptEncoder.load(str(MODEL))


@pytest.fixture(scope="module")
def model(encoder):
    return HuggingFaceModel(encoder, SAMPLING)


@pytest.fixture(scope="module")
def rows():
    return [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


def links_of(row):
    return dict(re.findall(r"\b([a-z]{3})>(\w+)", row["question"]))


def entry_of(row):
    return re.search(r"enters at (\w+)\.", row["question"])[1]


def walk(links, at):
    """Gateway and hops, found by following the links."""
    hops = 0
    while at in links:
        at, hops = links[at], hops + 1
    return at, hops


# --- ideal reasoner ----------------------------------------------------------------------------------------------

IDEAL_AT_200 = [  # answer budget, accuracy, AURC, coverage at 5% error: worked out by hand, apart from this code
    (0, 0.250, 0.443, 0.174),
    (50, 0.3625, 0.329, 0.250),
    (100, 0.4875, 0.239, 0.339),
    (150, 0.6125, 0.258, 0.168),
    (200, 0.7375, 0.2625, 0.000),
]


@pytest.mark.parametrize(("answer_budget", "accuracy", "aurc", "coverage"), IDEAL_AT_200)
def test_ideal_figures_at_the_default_budget(answer_budget, accuracy, aurc, coverage):
    caps = (answer_budget, 200 - answer_budget)
    assert ideal_accuracy(answer_budget) == pytest.approx(accuracy, abs=1e-9)
    assert ideal_aurc(*caps) == pytest.approx(aurc, abs=6e-4)
    assert ideal_coverage(*caps, 0.05) == pytest.approx(coverage, abs=6e-4)


BEST_RATIOS = [(100, 0.5, 0.424), (200, 0.5, 0.239), (400, 1.0, 0.0)]


@pytest.mark.parametrize(("total_budget", "best_ratio", "aurc"), BEST_RATIOS)
def test_the_best_ratio_depends_on_the_budget(total_budget, best_ratio, aurc):
    by_ratio = {ratio: ideal_aurc(*split_budget(total_budget, ratio)) for ratio in (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert min(by_ratio, key=by_ratio.get) == best_ratio
    assert by_ratio[best_ratio] == pytest.approx(aurc, abs=6e-4)


def test_the_ideal_agrees_with_a_simulation_of_the_reasoner():
    from scoring.metrics import observed_metrics

    random, confidence, is_correct = Random(0), [], []
    for number in range(60_000):
        hops = number % LONGEST_CHAIN + 1
        right = hops <= 29 or random.random() < 0.25  # answer budget 150, confidence budget 50: 29 and 9 hops
        is_correct.append(right)
        confidence.append(float(right) if hops <= 9 else (20 + 31 * 0.25) / 51)
    observed = observed_metrics(np.array(confidence), np.array(is_correct), 0.05)
    assert ideal_aurc(150, 50) == pytest.approx(observed["aurc"], abs=0.01)
    assert ideal_auroc(150, 50) == pytest.approx(observed["auroc"], abs=0.01)


# --- task and tokenizer ------------------------------------------------------------------------------------------


def test_a_thought_of_need_tokens_has_just_written_the_gateway(encoder):
    for seed in range(20):
        question = make_demo_question(Random(seed))
        ids = encoder.encode_plain(answer_thought(question))
        needed = tokens_needed(question.hops)
        assert encoder.decode(ids[:needed]).endswith(f">{question.gateway}")
        assert (hops_seen(needed), hops_seen(needed - 1)) == (question.hops, question.hops - 1)


def test_honest_confidence_is_the_frequency_of_the_training_mixture():
    # judge's budget 50, 9 hops seen: with an answer budget of 150, 20 of the 51 chains left are answered, else guesses
    along_split = (20 + 31 / 4) / 51
    assert honest_confidence(50) == pytest.approx(along_split, abs=0.03)
    assert honest_confidence(0) > honest_confidence(50) > honest_confidence(99) > 0.25


def test_a_confidence_thought_names_the_verdict():
    question = make_demo_question(Random(0))
    wrong = next(gateway for gateway in GATEWAYS if gateway != question.gateway)
    assert confidence_thought(question, question.gateway).endswith("yes")
    assert confidence_thought(question, wrong).endswith("no")


@pytest.mark.parametrize("text", ONE_TOKEN_WORDS)
def test_names_gateways_and_digits_are_single_tokens(encoder, text):
    assert len(encoder.encode_plain(text)) == 1


def test_readouts_keep_their_prefix_and_all_confidences_have_one_length(encoder):
    for readout in (answer_readout(len(OPTIONS)), CONFIDENCE_READOUT, P_TRUE_READOUT):
        prefix = encoder.encode_plain(readout.prefix)
        spellings = [encoder.encode_plain(readout.prefix + text) for choice in readout.choices for text in choice]
        assert all(ids[: len(prefix)] == prefix for ids in spellings)
        assert len({len(ids) for ids in spellings}) == 1


def test_control_tokens_and_chat_format_are_those_of_qwen3(encoder):
    assert set(encoder.control_tokens.values()) == {
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>",
    }
    assert encoder.decode(encoder.encode_prompt("hi", True).ids) == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
    assert encoder.decode(encoder.encode_prompt("hi", False).ids) == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    assert len(encoder.encode_closing("capped")) == 24  # as many as in Qwen3's own vocabulary


# --- questions ---------------------------------------------------------------------------------------------------


def test_the_experiment_reads_the_questions(rows):
    question_set = load_questions(str(QUESTIONS), None, "test")
    assert not question_set.skipped
    assert {(q.question_id, q.category, q.correct_option) for q in question_set.questions} == {
        (row["id"], row["subject"], row["answer"]) for row in rows
    }


def test_the_shipped_questions_are_what_the_script_writes(rows):
    assert rows == make_rows()
    assert len(rows) == N_QUESTIONS == len({row["id"] for row in rows})


def test_following_the_table_leads_to_the_key(rows):
    for row in rows:
        gateway, hops = walk(links_of(row), entry_of(row))
        assert row["choices"][row["answer"]] == f"gateway {gateway}"
        assert row["subject"] == category(hops)


def test_hops_and_gateways_are_spread_evenly_over_tables_of_one_size(rows):
    assert {len(links_of(row)) for row in rows} == {80}
    spread = Counter((walk(links_of(row), entry_of(row))[1], row["answer"]) for row in rows)
    assert set(spread) == {(hops, answer) for hops in range(1, LONGEST_CHAIN + 1) for answer in range(4)}
    assert set(spread.values()) == {2}


def test_the_other_chains_say_nothing_about_the_hops(rows):
    for row in rows:
        links = links_of(row)
        starts = set(links) - set(links.values()) - {entry_of(row)}
        lengths = sorted(walk(links, start)[1] for start in starts)
        assert len(lengths) == 3
        assert 4 <= lengths[0] <= lengths[-1] <= 6


# --- model -------------------------------------------------------------------------------------------------------


def test_the_shipped_model_was_trained_on_the_present_prompts():
    assert not is_stale(MODEL), (
        "The demo model is stale: prompts, read-outs or closing texts have changed since it was trained."
        " Run `python -m demo.train_demo_model` (about 15 minutes) and commit demo/."
    )


def test_the_model_has_the_real_architecture_and_can_use_its_cache(model):
    assert type(model.engine.model).__name__ == "Qwen3ForCausalLM"
    assert model.engine.model.config.use_cache
    assert json.loads((MODEL / "generation_config.json").read_text()).get("use_cache", True)
    assert model.engine.model.get_input_embeddings().weight.shape[0] >= len(model.encoder.tokenizer)
    assert model.encoder.can_think


def test_demo_stays_small():
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if "__pycache__" not in path.parts) < 5e6


def test_the_model_thinks_and_its_budget_counts(model):
    """Ten chains of 1 to 10 hops: solved and judged rightly with 60 tokens, and not with none."""
    units = read_units(QUESTIONS)[:10]
    answers = model.read_thoughts([answer_request(unit, (0, 60), seed=0) for unit in units])
    chosen = [[chosen_answer(reading) for reading in readings] for readings in answers]
    assert sum(of_unit[1] == unit.correct_option for of_unit, unit in zip(chosen, units, strict=True)) >= 9
    assert sum(of_unit[0] == unit.correct_option for of_unit, unit in zip(chosen, units, strict=True)) <= 7

    proposals = [(unit, option) for unit in units for option in (unit.correct_option, (unit.correct_option + 1) % 4)]
    judged = model.read_thoughts([confidence_request(unit, option, (64,), seed=0) for unit, option in proposals])
    p_true = [readings[0].readouts["p_true"].probabilities[0] for readings in judged]
    verdicts = [p > 0.5 for p in p_true]
    assert sum(v == (option == u.correct_option) for v, (u, option) in zip(verdicts, proposals, strict=True)) >= 18
    masses = [result.mass for readings in judged for result in readings[0].readouts.values()]
    assert min(masses) > 0.9


# --- training ----------------------------------------------------------------------------------------------------


def test_every_lesson_is_written_with_prompts_as_the_experiment_encodes_them(tmp_path):
    tokenizer = make_tokenizer(tmp_path)
    writer = LessonWriter(PromptEncoder("a demo model", make_model(tokenizer, 0).config, tokenizer), Random(0))
    for lesson in CURRICULUM:
        for _ in range(20):
            sequence = writer.write(lesson)
            assert sequence.targets
            assert all(0 <= target.position < len(sequence.ids) for target in sequence.targets)
            hard = [target for target in sequence.targets if target.share == 1.0 and target.kind != "guess"]
            inside = [target for target in hard if target.position + 1 < len(sequence.ids)]
            assert all(sequence.ids[target.position + 1] == target.token for target in inside)


def test_the_tokenizer_can_be_made_again(tmp_path, encoder):
    assert make_tokenizer(tmp_path).get_vocab() == encoder.tokenizer.get_vocab()


def test_the_same_seed_starts_with_the_same_weights(encoder):
    first, second, other = (make_model(encoder.tokenizer, seed).lm_head.weight for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
