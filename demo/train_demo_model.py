"""Makes the demo from nothing: tokenizer, questions and the trained model, and measures it.

    python -m demo.train_demo_model --out OUT_DIR [--seconds 900] [--seed 0]
    python -m demo.train_demo_model                  # replaces the shipped files under demo/

A CPU is enough; the training uses one thread. The time is fixed, so a faster machine makes a better model, and two runs
with one seed give models of the same kind, not the same bits.
"""
import argparse
import shutil
import time
from pathlib import Path
from random import Random

import torch
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from demo.fingerprint import write_fingerprint
from demo.lessons import CURRICULUM, WEIGHTS, DrillLesson, LessonWriter, batches
from demo.make_questions import write_questions
from demo.make_tokenizer import make_tokenizer
from demo.measure import TOTAL_BUDGETS, measure, table
from demo.structured_start import structured_start
from thinking.prompt_encoder import PromptEncoder

DEMO = Path(__file__).resolve().parent

SECONDS = 900  # of training, without the measuring
SEED = 0
TOKENS_PER_BATCH = 4096
LEARNING_RATE = 2e-3
WARM_UP_STEPS = 50
DECAY_SHARE = 0.4  # of the time, at its end
SLOWEST = 0.02  # of the learning rate, at the very end
WEIGHT_DECAY = 0.05
LESSON_STEPS_AT_LEAST = 60
LOOKUP_TO_MOVE_ON, VERDICT_TO_MOVE_ON = 0.97, 0.92  # accuracies at which the next lesson begins
STEPS_PER_REPORT = 50


def make_model(tokenizer, seed: int) -> Qwen3ForCausalLM:
    """An untrained model of the real architecture, 0.6 million parameters, in float32."""
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 8) * 8,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config)
    structured_start(model, torch.Generator().manual_seed(seed))
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True,
        temperature=0.6, top_p=0.95, top_k=20,
    )
    return model


def make_optimizer(model) -> torch.optim.Optimizer:
    """AdamW that decays matrices only, not the embedding and not the norms."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and "embed" not in name else others).append(parameter)
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))


def learning_rate(step: int, time_used: float) -> float:
    """Learning rate of a step counted from 0; time_used: share of the training time, in [0, 1]."""
    decay = min(1.0, max(SLOWEST, (1 - time_used) / DECAY_SHARE))
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP_STEPS) * decay


def batch_loss(model, batch, pad_id: int):
    """Weighted cross-entropy of the batch's targets, and per kind of target the accuracy where the token is certain."""
    width = max(len(sequence.ids) for sequence in batch)
    ids = torch.tensor([sequence.ids + [pad_id] * (width - len(sequence.ids)) for sequence in batch])
    targets = [(row, target) for row, sequence in enumerate(batch) for target in sequence.targets]
    rows = torch.tensor([row for row, _ in targets])
    positions = torch.tensor([target.position for _, target in targets])
    tokens = torch.tensor([target.token for _, target in targets])
    weights = torch.tensor([WEIGHTS[target.kind] * target.share for _, target in targets])
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[rows, positions]
    logits = model.lm_head(hidden)
    losses = torch.nn.functional.cross_entropy(logits, tokens, reduction="none")
    loss = (losses * weights).sum() / weights.sum()
    right = (logits.argmax(dim=-1) == tokens).tolist()
    hits = {}
    for (_, target), hit in zip(targets, right, strict=True):
        if target.share == 1.0:
            hits.setdefault(target.kind, []).append(hit)
    return loss, {kind: sum(of_kind) / len(of_kind) for kind, of_kind in hits.items()}


class Progress:
    """Smoothed accuracies per kind of target, and when to move on."""

    def __init__(self):
        self.accuracy: dict[str, float] = {}

    def add(self, accuracy: dict[str, float]) -> None:
        """Adds one step."""
        for kind, value in accuracy.items():
            self.accuracy[kind] = 0.95 * self.accuracy.get(kind, value) + 0.05 * value

    def may_move_on(self, lesson, steps: int) -> bool:
        """Whether the lesson is learnt after so many steps of it."""
        if isinstance(lesson, DrillLesson):
            return steps >= lesson.steps
        return (
            steps >= LESSON_STEPS_AT_LEAST
            and self.accuracy.get("lookup", 0.0) > LOOKUP_TO_MOVE_ON
            and self.accuracy.get("verdict", 0.0) > VERDICT_TO_MOVE_ON
        )

    def __str__(self):
        return "  ".join(f"{kind} {value:.3f}" for kind, value in sorted(self.accuracy.items()))


def train(model, writer: LessonWriter, pad_id: int, seconds: float) -> None:
    """Trains through the curriculum until the time is up."""
    optimizer, progress = make_optimizer(model), Progress()
    lesson_number, lesson_steps, step, started = 0, 0, 0, time.monotonic()
    model.train()
    while time.monotonic() - started < seconds:
        lesson = CURRICULUM[lesson_number]
        for batch in batches(writer, lesson, TOKENS_PER_BATCH):
            elapsed = time.monotonic() - started
            if elapsed >= seconds:
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, elapsed / seconds)
            loss, accuracy = batch_loss(model, batch, pad_id)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            progress.add(accuracy)
            step, lesson_steps = step + 1, lesson_steps + 1
            if step % STEPS_PER_REPORT == 0:
                state = f"{elapsed:5.0f} s  step {step:5d}  {lesson.name:16s}  loss {loss.item():.3f}"
                print(f"{state}  {progress}", flush=True)
            if lesson_number + 1 < len(CURRICULUM) and progress.may_move_on(lesson, lesson_steps):
                lesson_number, lesson_steps = lesson_number + 1, 0
                break
    model.eval()


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEMO, help="folder for model/ and questions.jsonl")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="training time, default %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="default %(default)s")
    return parser.parse_args()


def main():
    """Makes everything, trains and measures."""
    arguments = parse_arguments()
    torch.set_num_threads(1)
    folder, questions = arguments.out / "model", arguments.out / "questions.jsonl"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_questions(questions)
    tokenizer = make_tokenizer(folder)
    model = make_model(tokenizer, arguments.seed)
    encoder = PromptEncoder("the demo model", model.config, tokenizer)
    writer = LessonWriter(encoder, Random(f"training {arguments.seed}"))
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{n_parameters:,} parameters, {len(tokenizer)} tokens", flush=True)
    train(model, writer, tokenizer.pad_token_id, arguments.seconds)
    model.save_pretrained(folder)
    write_fingerprint(folder)
    print(table(measure(folder, questions, TOTAL_BUDGETS)), flush=True)


if __name__ == "__main__":
    main()
