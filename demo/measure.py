"""Measures a demo model beside the ideal reasoner, with the experiment's own stages, read-outs and metrics.

    python -m demo.measure                       # the shipped model at total budgets 100, 200 and 400
    python -m demo.measure --model OUT_DIR/model --total-budget 200
"""
import argparse
from pathlib import Path

from demo.ideal import ideal_accuracy, ideal_aurc, ideal_auroc, ideal_coverage
from evaluation_tool import summarise
from hugging_face_model import HuggingFaceModel
from questions.option_orders import Unit
from questions.question_sets import load_questions
from runs.budgets import make_cells
from runs.computation import compute_records
from runs.units import make_units
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling

DEMO = Path(__file__).resolve().parent

TOTAL_BUDGETS = [100, 200, 400]  # thinking tokens; the model is made for 200
RATIOS = [0.0, 0.25, 0.5, 0.75, 1.0]
TARGET_ERROR = 0.05  # error rate that the used answers must stay under
SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20)
SEED = 42
BATCH_SIZE = 40


def read_units(path: Path) -> list[Unit]:
    """The questions of the demo's file, options in the order given."""
    return make_units(load_questions(str(path), None, "").questions, 1, SEED)


def measure(folder: Path, questions: Path, total_budgets: list[int]) -> dict:
    """Summary of all cells, as the experiment would write it."""
    model = HuggingFaceModel(PromptEncoder.load(str(folder)), SAMPLING)
    model.limit_threads()
    records = compute_records(model, read_units(questions), make_cells(total_budgets, RATIOS), SEED, BATCH_SIZE)
    return summarise([record for of_unit in records for record in of_unit], TARGET_ERROR, SEED)


def _with_interval(value, interval, ideal):
    low_high = f"{interval['low']:.3f}-{interval['high']:.3f}" if interval else "no interval"
    return f"{value:.3f} [{low_high}] ({ideal:.3f})"


def table(summary: dict) -> str:
    """One Markdown row per cell: value [95% interval] (ideal reasoner); the confidence is the verbalised one."""
    lines = [
        "| budget | ratio | n | accuracy | AUROC | ECE | AURC | coverage at 5% error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in summary["cells"]:
        caps = (cell["answer_budget"], cell["confidence_budget"])
        stated = cell["confidences"]["confidence"]
        columns = [
            str(cell["total_budget"]),
            f"{cell['answer_thinking_ratio']:g}",
            str(cell["n_records"]),
            _with_interval(cell["accuracy"], cell["accuracy_interval"], ideal_accuracy(caps[0])),
            "none" if stated["auroc"] is None else f"{stated['auroc']:.3f} ({ideal_auroc(*caps) or 0.5:.3f})",
            f"{stated['ece']:.3f}",
            _with_interval(stated["aurc"], stated["aurc_interval"], ideal_aurc(*caps)),
            f"{stated['coverage_at_target']:.3f} [at least {stated['coverage_at_target_lower_bound']:.3f}]"
            f" ({ideal_coverage(*caps, TARGET_ERROR):.3f})",
        ]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def main():
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEMO / "model", help="folder of the model, default %(default)s")
    parser.add_argument("--questions", type=Path, default=DEMO / "questions.jsonl", help="default %(default)s")
    parser.add_argument("--total-budget", type=int, nargs="+", default=TOTAL_BUDGETS, help="thinking tokens")
    arguments = parser.parse_args()
    print(table(measure(arguments.model, arguments.questions, arguments.total_budget)))


if __name__ == "__main__":
    main()
