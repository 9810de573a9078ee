"""Processor milliseconds per unit of a run that no forward pass takes; an engine that answers at once is the model.

    python -m benchmarks.benchmark_host --output benchmarks/host.json
    python -m benchmarks.benchmark_host --model-name FOLDER       # another tokenizer; its weights are not needed

Loads made-up questions from a file, measures their lengths, asks for every thought and reading of a sweep, and writes
the journal. Prints the processor seconds of each part and the milliseconds per unit (a question in one order of its
options); processor seconds compare on a busy machine, and waiting for the disk is not among them.
The time of the standing-in engine is not counted. A part's time excludes that of the parts inside it.
"""
import argparse
import json
import random
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config

from questions.question_sets import load_questions, select_questions
from runs import computation, units
from runs.budgets import make_cells
from runs.computation import Computation, open_journal
from runs.earlier_records import EarlierRecords
from runs.journal import Journal
from thinking.libraries import rare_garbage_collection
from thinking.prompt_encoder import PromptEncoder
from thinking.readout_tree import TokenTree
from thinking.thought_reader import RequestState, ThoughtReader, forbidden_while_thinking

BUDGETS, RATIOS, ROWS, SEED = [200, 0], [0.0, 0.25, 0.5, 0.75, 1.0], 64, 42
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)
# How Qwen's tokenizers cut text before they merge
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = re.findall(
    r"\w+",
    "the network function session bearer registration procedure handover user plane control radio resource carrier"
    " aggregation beamforming scheduling latency throughput policy slice authentication subscriber release standard"
    " access mobility management entity gateway uplink downlink channel quality indicator which of is used to by for",
)
PARTS = (
    (sys.modules[__name__], "load_questions", "questions: load"),
    (sys.modules[__name__], "select_questions", "questions: load"),
    (units, "permuted", "questions: orders"),
    (units, "make_workload", "lengths of prompts"),
    (PromptEncoder, "encode_plain_texts", "encode prompts"),
    (ThoughtReader, "_tree", "read-out trees"),
    (TokenTree, "results", "read-outs as distributions"),
    (RequestState, "begin", "requests"),
    (ThoughtReader, "_reading", "readings"),
    (PromptEncoder, "decode_all", "decode thoughts"),
    (computation, "answer_request", "requests"),
    (computation, "confidence_request", "requests"),
    (computation, "make_record", "records"),
    (computation, "sampled_thinking_tokens", "sampled_thinking_tokens"),
    (Journal, "append", "journal: JSON and fsync"),
)


class InstantEngine:
    """Keeps `thinking.thoughts.Engine`'s promises without a model: thoughts reach their caps, steps are equally likely.

    thought: the ids of which every thought takes the first ones.
    """

    def __init__(self, thought: list[int]):
        self.thought = thought

    def think(self, thoughts):
        """Each thought runs to its cap."""
        for one in thoughts:
            one.sampled_ids = self.thought[: one.cap]

    def log_probabilities(self, places):
        """The same for every step, but for the place's length."""
        return [np.full(len(place.tree.steps), -1.0 - place.length / 1000) for place in places]


class InstantModel:
    """A reasoning model whose engine costs nothing."""

    def __init__(self, encoder, engine):
        self.encoder = encoder
        forbidden = forbidden_while_thinking(encoder, len(encoder.tokenizer))
        self.read_thoughts = ThoughtReader(encoder, engine, forbidden).read_thoughts


class Stopwatch:
    """Seconds by part; a part's seconds exclude those of parts that it calls."""

    def __init__(self):
        self.seconds, self.calls, self._inside = {}, {}, [0.0]

    def timed(self, part, function):
        """The function, its time counted."""

        def run(*arguments, **keywords):
            started = time.process_time()
            self._inside.append(0.0)
            try:
                return function(*arguments, **keywords)
            finally:
                spent = time.process_time() - started
                inside = self._inside.pop()
                self._inside[-1] += spent
                self.seconds[part] = self.seconds.get(part, 0.0) + spent - inside
                self.calls[part] = self.calls.get(part, 0) + 1

        return run


def made_up_rows(number: int) -> list[dict]:
    """Questions about as long as TeleQnA's: 15 to 30 words, four options of 4 to 14."""
    rng = random.Random(SEED)

    def text(fewest, most):
        return " ".join(rng.choices(WORDS, k=rng.randint(fewest, most)))

    return [
        {"id": f"question {index}", "question": f"{text(15, 30).capitalize()}? [3GPP Release {rng.randint(14, 18)}]",
         "choices": [f"{text(4, 14).capitalize()} {letter}" for letter in "abcd"], "answer": rng.randrange(4),
         "subject": "made up"}
        for index in range(number)
    ]  # fmt: skip


def made_up_encoder(rows: list[dict]) -> PromptEncoder:
    """A byte-level BPE tokenizer learnt on the questions, with Qwen's pieces and think tags; no weights."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([json.dumps(row) for row in rows], trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in CONTROL])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in ("<think>", "</think>")])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=CONTROL[2], chat_template=TEMPLATE)
    return PromptEncoder("made up", Qwen3Config(vocab_size=len(fast), max_position_embeddings=4096), fast)


def measure(path: Path, encoder: PromptEncoder, n_permutations: int) -> dict:
    """Seconds by part of a whole run on the questions at the path, and numbers of units and records."""
    watch, cells = Stopwatch(), make_cells(BUDGETS, RATIOS)
    engine = InstantEngine((encoder.encode_plain(" ".join(WORDS)) * 10)[: max(BUDGETS)])
    outside = ((InstantEngine, "think", "engine"), (InstantEngine, "log_probabilities", "engine"))
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for owner, name, part in (*PARTS, *outside):
            stack.enter_context(patch.object(owner, name, watch.timed(part, getattr(owner, name))))
        started, started_wall = time.process_time(), time.perf_counter()
        questions = select_questions(load_questions(str(path), None, "test").questions, 0, SEED)
        workload = units.make_workload(units.make_units(questions, n_permutations, SEED), encoder, cells)
        journal = open_journal(Path(folder, "records.jsonl"), workload.units, cells)
        n_records = len(workload.units) * len(cells)
        run = Computation(InstantModel(encoder, engine), EarlierRecords(cells), SEED, ROWS, journal, n_records)
        with rare_garbage_collection():
            sampled = sum(tokens for _, tokens in run.batches(workload.units))
        wall = time.perf_counter() - started_wall
        total = time.process_time() - started - watch.seconds.pop("engine")
        journal_bytes = journal.path.stat().st_size
    watch.seconds["the rest"] = total - sum(watch.seconds.values())
    return {
        "units": len(workload.units), "records": n_records, "sampled_tokens": sampled, "journal_bytes": journal_bytes,
        "seconds": total, "wall_seconds_with_engine": wall,
        "ms_per_unit": 1000 * total / len(workload.units), "parts": watch.seconds,
        "calls": watch.calls,
    }  # fmt: skip


def main(argv: list[str]) -> int:
    """Measures, prints and writes the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-questions", type=int, default=1000)
    parser.add_argument("--n-permutations", type=int, default=5)
    parser.add_argument("--model-name", help="a folder with another tokenizer (config.json beside it)")
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    arguments = parser.parse_args(argv)
    rows = made_up_rows(arguments.n_questions)
    encoder = PromptEncoder.load(arguments.model_name) if arguments.model_name else made_up_encoder(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "questions.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        found = measure(path, encoder, arguments.n_permutations)
    print(f"{found['units']:,} units, {found['records']:,} records: {found['seconds']:.1f} processor s outside of the"
          f" engine, {found['ms_per_unit']:.2f} ms per unit")
    for part, seconds in sorted(found["parts"].items(), key=lambda item: -item[1]):
        calls = found["calls"].get(part)
        print(f"{part:28}{seconds:8.2f} s{1000 * seconds / found['units']:8.3f} ms per unit{calls or '-':>10} calls")
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
