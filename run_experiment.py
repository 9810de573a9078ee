"""How is a fixed budget of thinking tokens best split between the answer and the confidence in it?

    python run_experiment.py                                     # the settings below
    python run_experiment.py --total-budget 100 200 400          # every setting has a flag of its name
    python run_experiment.py --demo                              # no GPU, no download: a tiny model of our own
    accelerate launch --multi_gpu run_experiment.py              # several GPUs: README, "More than one GPU"
    python run_experiment.py --check ./results_reasoning/        # are the results there complete and consistent?
    python run_experiment.py --help

Results go to SAVE_DIR/<run name>/: config.json, records.jsonl, summary.json, figures/, report.html.
"""
import sys

from runs import stop_signals, terminal

if __name__ == "__main__":
    stop_signals.listen()  # before the imports below, which take seconds
    terminal.set_up()

import errno
import time
from array import array
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from textwrap import fill

from tqdm import tqdm

from basics.errors import UserError, one_line
from basics.files import write_json
from basics.strict_json import strict_json
from demo.ideal import ideal_accuracy, ideal_aurc, ideal_auroc, ideal_coverage
from evaluation_tool import check_caps, prompts_identity, sampled_thinking_tokens, summarise
from questions.option_orders import permuted
from questions.question_sets import Question, QuestionSet, fingerprint, load_questions, select_questions
from runs.budgets import Cell, make_cells
from runs.check import check_results
from runs.journal import Journal, only_writer_of, process_journal, process_journals, read_records
from runs.processes import ToldElsewhere, joined, speaks_for_machine
from runs.results_folder import (
    SCHEMA_VERSION,
    check_inputs_unchanged,
    check_writable,
    earlier_processes,
    only_writer,
    run_name,
)
from runs.settings import RULES, comments_of_constants, folder_to_check, read_settings
from thinking.memory_faults import is_out_of_memory
from thinking.two_stages import Unit, answer_request, compute_what_fits, confidence_request

# --- Settings: unit, range and reason on each line; the README has a table of them --------------------------------
TOTAL_BUDGET = 200  # thinking tokens per question, both stages together, >= 0 (100-400 recommended); a list sweeps
ANSWER_THINKING_RATIO = 0.5  # share of the budget for the answer stage, 0.0-1.0; a list sweeps
CONVENTIONAL_ARM = True  # True or False: beside the grid, the same model without any thinking (total budget 0)
SAVE_DIR = "./results_reasoning/"  # folder for results; each configuration gets its own folder inside
model_name = "Qwen/Qwen3-4B"  # hub id or local folder of a chat model in safetensors

DATASET = "netop/TeleQnA"  # hub id, or a local .json, .jsonl, .csv, .parquet or .txt file
DATASET_CONFIG = ""  # configuration of a hub data set that has several, such as "ARC-Challenge"; empty = the only one
DATASET_SPLIT = "test"  # split of a hub data set; a local file has none
N_QUESTIONS = 1000  # questions, drawn by SEED and nested when the number grows; 0 = all
N_PERMUTATIONS = 5  # orders of the options per question, >= 1; the first is as given, more average out letter bias

TEMPERATURE = 0.6  # of thinking, >= 0; 0.6 is Qwen's value for thinking mode, 0 is greedy, which loops
TOP_P = 0.95  # of thinking, in (0, 1]; Qwen's value for thinking mode
TOP_K = 20  # of thinking, >= 0, 0 = off; Qwen's value for thinking mode
BATCH_SIZE = 0  # prompts at a time, 0 = as many as fit; changes speed and memory, in float32 no record
SEED = 42  # of questions, permutations, thoughts and intervals, >= 0
TARGET_ERROR = 0.05  # error rate that automated answers must stay under, in (0, 1)

# --- What `--demo` puts in their place: a model organism made for one task, whose best split is known (demo/README.md)
HERE = Path(__file__).resolve().parent
DEMO = {
    "model_name": str(HERE / "demo" / "model"),
    "DATASET": str(HERE / "demo" / "questions.jsonl"),
    "TOTAL_BUDGET": 200,
    "ANSWER_THINKING_RATIO": [0, 0.25, 0.5, 0.75, 1],
    "N_QUESTIONS": 200,
    "N_PERMUTATIONS": 1,  # the model knows its gateways by their letters only
}

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)  # also of what is printed to a file
MOST_ERRORS = 0.01  # share of a run's records with an error above which the run ends: the model or the machine is ill
CLOSE_TO_CONTEXT = 64  # tokens; more than the orders of a question's options can differ in length


def run(settings: dict, team) -> None:
    """The whole experiment, from checked settings to the table at the end. team: the processes of the run."""
    # Imported once the settings are known to be right: torch and transformers take seconds.
    from hugging_face_model import HuggingFaceModel
    from runs import provenance
    from thinking.devices import check_no_gpu_is_left_out, choose_device, device_line
    from thinking.libraries import prepare_libraries
    from thinking.prompt_encoder import PromptEncoder
    from thinking.sampling import Sampling

    prepare_libraries()
    conventional = [0] if settings["CONVENTIONAL_ARM"] else []
    cells = make_cells([*settings["TOTAL_BUDGET"], *conventional], settings["ANSWER_THINKING_RATIO"])
    check_no_gpu_is_left_out()
    save_dir = check_writable(settings["SAVE_DIR"])
    team.say(f"Reading {settings['DATASET']} and the tokenizer of {settings['model_name']} ...")
    question_set = load_questions(settings["DATASET"], settings["DATASET_CONFIG"] or None, settings["DATASET_SPLIT"])
    questions = select_questions(question_set.questions, settings["N_QUESTIONS"], settings["SEED"])
    units = make_units(questions, settings["N_PERMUTATIONS"], settings["SEED"])
    encoder = PromptEncoder.load(settings["model_name"])
    if any(cell.total_budget > 0 for cell in cells):
        encoder.check_thinking()
    units, tokens_per_row, too_long = longest_first(units, encoder, cells)
    questions, skipped = skip_too_long(questions, too_long, encoder, team)

    if is_demo(settings):
        team.say("Demo: a tiny model made for this one task, not Qwen3. Its figures say nothing about any other model.")
        shown = ("TOTAL_BUDGET", "ANSWER_THINKING_RATIO", "N_QUESTIONS", "N_PERMUTATIONS")
        team.say("Settings: " + ", ".join(f"{name} {settings[name]}" for name in shown))
    device = team.device or choose_device(encoder, tokens_per_row, settings["TOP_K"])
    team.say(device_line(device, team.number))
    team.say("Loading the model ...")
    content = encoder.model_fingerprint()
    sampling = Sampling(settings["TEMPERATURE"], settings["TOP_P"], settings["TOP_K"])
    model = HuggingFaceModel(encoder, sampling, device)
    model.limit_threads()
    if encoder.model_fingerprint() != content:
        raise UserError(f"model_name = {settings['model_name']!r}: its files changed while they were loaded; try again")
    model.reserve(tokens_per_row)
    batch_size = settings["BATCH_SIZE"] or model.rows_that_fit(tokens_per_row)
    peak = model.predicted_peak_bytes(batch_size, tokens_per_row)
    team.say(f"Prompts at a time: {batch_size:,}; memory at the peak, predicted: {peak / 1e9:.1f} GB")
    identity = run_identity(settings, cells, questions, encoder, model)
    config = run_config(settings, identity, question_set, len(questions), skipped)
    folder = save_dir / run_name(settings["model_name"], settings["DATASET"], cells, identity)
    process = provenance.this_process(model.device, batch_size) | {"process_index": team.index}
    entries = team.meet(folder.name, process | {"n_processes": team.number})
    if not team.is_main:
        compute_share(team, model, units, cells, settings["SEED"], batch_size, folder, entries[team.index])
        return
    if remark := check_inputs_unchanged(folder, settings, identity):
        team.say(remark)
    with only_writer(folder):
        earlier = earlier_processes(folder, identity)
        config["processes"] = [*earlier, *entries]
        write_json(folder / "config.json", config)
        think_through(team, model, units, cells, settings["SEED"], batch_size, folder, entries[0])
        config["processes"] = [*earlier, *team.finished_entries(entries[0])]
        write_json(folder / "config.json", config)
        summary, report = score(folder, config)
    print(results_table(summary))
    if config["is_demo"]:
        print(ideal_table(cells, settings["TARGET_ERROR"]))
    print(answer_text(summary["comparisons"]))
    print(f"Results: {folder}")
    print(f"Report: {report}")


def score(folder: Path, config: dict) -> tuple[dict, Path]:
    """Writes summary, figures and report of the records in a run folder; returns the summary and the report's path."""
    from report.figures import draw_figures
    from report.page import write_report

    settings = config["settings"]
    records = read_records(folder / "records.jsonl")
    summary = summarise(map(check_caps, records), settings["TARGET_ERROR"], settings["SEED"])
    summary["run"] = config
    if remark := _other_target_error(folder / "summary.json", settings["TARGET_ERROR"]):
        print(remark)
    write_json(folder / "summary.json", summary)
    draw_figures(folder)
    return summary, write_report(folder)


def _other_target_error(path: Path, target_error: float) -> str | None:
    """A line if the summary that is there has another target error: the one to be written takes its place."""
    try:
        before = strict_json(path.read_bytes())["target_error"]
    except (OSError, ValueError, KeyError, TypeError):  # none is there, or none that anyone can read
        return None
    if not isinstance(before, float) or before == target_error:
        return None
    return (
        f"TARGET_ERROR is {target_error:g}, in the summary that is there it is {before:g}: summary.json, figures and"
        " report.html are written anew; the records stay"
    )


def make_units(questions: list[Question], n_permutations: int, seed: int) -> list[Unit]:
    """Every question in each order of its options."""
    units, orders = [], {}
    for question in questions:
        for permutation in range(n_permutations):
            shown = permuted(question, permutation, seed)
            units.append(
                Unit(
                    question_id=question.question_id,
                    category=question.category,
                    permutation=permutation,
                    question=question.question,
                    options=shown.options,
                    option_order=orders.setdefault(shown.option_order, shown.option_order),  # one object per order
                    correct_option=shown.correct_option,
                )
            )
    return units


def longest_first(units: list[Unit], encoder, cells: list[Cell]) -> tuple[list[Unit], int, dict[str, int]]:
    """Units by falling length of their prompts, so that a batch holds little padding; the tokens the longest needs; and
    by question id those whose prompt with its thought and read-outs is longer than the model's context, in tokens.

    A question that is too long in one of its orders is left out in all. It is measured in the first of them; another
    order can differ by a token where texts meet, so close to the context each is measured. Raises UserError if no
    question is left.
    """
    caps = (tuple({cell.answer_budget for cell in cells}), tuple({cell.confidence_budget for cell in cells}))
    needed_by_question: dict[str, int] = {}
    too_long: dict[str, int] = {}
    needed = array("q")
    for unit in units:
        length = needed_by_question.get(unit.question_id)
        if length is None or length > encoder.context_length - CLOSE_TO_CONTEXT:
            length = needed_by_question[unit.question_id] = tokens_needed(unit, encoder, *caps)
        if length > encoder.context_length:
            too_long[unit.question_id] = max(length, too_long.get(unit.question_id, 0))
        needed.append(length)
    order = [index for index, unit in enumerate(units) if unit.question_id not in too_long]
    if not order:
        shortest = min(too_long, key=too_long.get)
        reason = too_long_for(too_long[shortest], encoder.context_length)
        raise UserError(
            f"question {shortest!r}: {reason}, and no other question of the run needs less; lower TOTAL_BUDGET or use"
            " shorter questions"
        )
    order.sort(key=lambda index: -needed[index])
    return [units[index] for index in order], needed[order[0]], too_long


def too_long_for(length: int, context_length: int) -> str:
    """Why a question of the run is left out."""
    return (
        f"prompt, thinking budget and read-outs need {length:,} tokens, the model's context holds {context_length:,}"
    )


def skip_too_long(questions: list[Question], too_long: dict[str, int], encoder, team) -> tuple[list[Question], list]:
    """The questions that are not too long, and a row for `config.json` of each that is; says so."""
    skipped = [
        {"row": question_id, "reason": too_long_for(length, encoder.context_length)}
        for question_id, length in too_long.items()
    ]
    if skipped:
        first = one_line(f"question {skipped[0]['row']!r}: {skipped[0]['reason']}")
        team.say(f"Skipping {len(skipped):,} of {len(questions):,} questions, listed in config.json; {first}")
    return [question for question in questions if question.question_id not in too_long], skipped


def tokens_needed(unit: Unit, encoder, answer_caps: tuple[int, ...], confidence_caps: tuple[int, ...]) -> int:
    """Tokens of context that the longer of a unit's stages takes, the longest option proposed."""
    longest_option = max(range(len(unit.options)), key=lambda i: len(encoder.encode_plain(unit.options[i])))
    requests = (
        answer_request(unit, answer_caps, 0),
        confidence_request(unit, longest_option, confidence_caps, 0),
    )
    return max(encoder.tokens_needed(request) for request in requests)


def run_identity(settings: dict, cells: list[Cell], questions: list[Question], encoder, model) -> dict:
    """Everything that decides the records; its hash is part of the run name."""
    return {
        "schema_version": SCHEMA_VERSION,
        "prompts": prompts_identity(),
        "chat_frame": encoder.chat_frame(),
        "closings": encoder.closing_texts(),
        "tokenizer": encoder.fingerprint(),
        "model": encoder.model_fingerprint(),
        "questions": fingerprint(questions),
        "temperature": settings["TEMPERATURE"],
        "top_p": settings["TOP_P"],
        "top_k": settings["TOP_K"],
        "seed": settings["SEED"],
        "dtype": model.dtype,
        "device_type": model.device.type,
        "cells": [asdict(cell) for cell in cells],
        "n_questions": settings["N_QUESTIONS"],
        "n_permutations": settings["N_PERMUTATIONS"],
    }


def is_demo(settings: dict) -> bool:
    """Whether model and questions are the built-in demo's, however their paths are written."""
    return all(Path(settings[name]).expanduser().resolve() == Path(DEMO[name]) for name in ("model_name", "DATASET"))


def run_config(settings: dict, identity: dict, question_set: QuestionSet, n_used: int, too_long: list[dict]) -> dict:
    """What `config.json` holds besides its processes: settings, what was hashed, and the questions.

    too_long: the rows that are questions, but too long for the model. is_demo is a field because a reader of the folder
    cannot tell it from paths: they are those of the run's machine.
    """
    skipped = [*question_set.skipped, *too_long]
    return {
        "is_demo": is_demo(settings),
        "settings": settings,
        "identity": identity,
        "questions": {
            "loaded": len(question_set.questions),
            "used": n_used,
            "n_skipped": len(skipped),
            "skipped": skipped,
            "notes": question_set.notes,
        },
    }


def open_journal(path: Path, units: list[Unit], cells: list[Cell]) -> Journal:
    """A journal of the run."""
    return Journal(
        path,
        units={(unit.question_id, unit.permutation) for unit in units},
        cells=[(cell.total_budget, cell.answer_thinking_ratio) for cell in cells],
    )


def think_through(
    team, model, units: list[Unit], cells: list[Cell], seed: int, batch_size: int, folder: Path, entry: dict
) -> None:
    """Main process: computes the units that no journal holds yet, its share of them, and takes over what others do.

    Sets the entry's `batch_size`, smaller than the one given if memory ran out, and `seconds`. Raises UserError if a
    single unit does not fit into memory, if the disk is full, or if more records carry an error than MOST_ERRORS
    allows.
    """
    journal, n_records = open_journal(folder / "records.jsonl", units, cells), len(units) * len(cells)
    for path in process_journals(folder):  # of an earlier launch that was interrupted
        journal.take_over(path)
    left = [i for i, unit in enumerate(units) if (unit.question_id, unit.permutation) not in journal.finished.ids]
    done = len(units) - len(left)
    if done:
        nothing_left = "" if left else ": nothing is left to compute"
        print(f"{done:,} of {len(units):,} units are in {journal.path} already{nothing_left}", flush=True)
    check_errors(journal, n_records)
    share = [units[index] for index in team.hand_out(left)]
    started = time.monotonic()
    with tqdm(total=len(units), initial=done, desc="questions x permutations", unit="", disable=not left) as bar:

        def show(n_units, tokens):
            bar.set_postfix_str(f"{tokens / (time.monotonic() - started):,.0f} thinking tokens/s", refresh=False)
            bar.update(done + n_units - bar.n)

        compute(team, model, share, cells, seed, batch_size, journal, n_records, entry, show)
        while team.others_at_work():
            show(*team.progress(0, 0))
            time.sleep(0.2)
        if left:
            show(*team.progress(0, 0))
    for path in process_journals(folder):
        journal.take_over(path)
    check_errors(journal, n_records)


def compute_share(
    team, model, units: list[Unit], cells: list[Cell], seed: int, batch_size: int, folder: Path, entry: dict
) -> None:
    """Not the main process: computes its share into a journal of its own."""
    n_records, share = len(units) * len(cells), [units[index] for index in team.own_share()]
    path = process_journal(folder, team.index)
    with only_writer_of(path):
        journal = open_journal(path, share, cells)
        compute(team, model, share, cells, seed, batch_size, journal, n_records, entry, lambda *counts: None)
    team.finish(entry)


def compute(team, model, left: list[Unit], cells, seed, batch_size, journal: Journal, n_records, entry, show) -> None:
    """Batch by batch, each on disk before the next begins. show: is given units and thinking tokens done so far."""
    started = time.monotonic()
    while left:
        team.check()
        with stop_signals.held("the batch in progress"):
            records, batch_size = compute_batch(model, left, cells, seed, batch_size)
            journal.append(records)
            show(*team.progress(len(records), sum(sampled_thinking_tokens(of_unit) for of_unit in records)))
        left = left[len(records) :]
        check_errors(journal, n_records)
    entry["batch_size"], entry["seconds"] = batch_size, time.monotonic() - started


def compute_batch(model, units: list[Unit], cells: list[Cell], seed: int, batch_size: int):
    """`compute_what_fits`, or UserError if not even one prompt fits into memory."""
    try:
        return compute_what_fits(model, units, cells, seed, batch_size)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        caps = tuple({cell.answer_budget for cell in cells})
        tokens = model.encoder.tokens_needed(answer_request(units[0], caps, seed))
        memory = ". ".join(str(error).partition("\n")[0].split(". ")[:3])  # what was asked for, what is free
        raise UserError(
            f"question {units[0].question_id!r}: out of memory with one prompt at a time; prompt, thinking budget and"
            f" read-outs are {tokens:,} tokens: lower TOTAL_BUDGET, remove the question or use more memory ({memory})"
        ) from error


def check_errors(journal: Journal, n_records: int) -> None:
    """Raises UserError if more than MOST_ERRORS of the run's records carry an error, unless all are of one unit.

    n_records: of the finished run. Told from the start of the run to its end by the same count, so that neither batch
    size nor an interruption decides; one unit is let off because in a small run a single broken thought is above any
    share.
    """
    with_errors = journal.finished.with_errors
    if len(with_errors) > 1 and with_errors.total() > MOST_ERRORS * n_records:
        raise UserError(
            f"{with_errors.total():,} of the run's {n_records:,} records carry an error (logits that are not finite),"
            f" more than {MOST_ERRORS:.0%}: the model's weights, its number format or the machine are at fault. What"
            f" was computed is in {journal.path}; to begin anew, mend the cause and move {journal.path.parent} away"
        )


def results_table(summary: dict) -> str:
    """The closing table: a line per cell, then what was missing and how the caps held."""
    target = summary["target_error"]
    header = f"{'budget':>7}{'ratio':>7}{'records':>9}{'accuracy':>10}{'95% interval':>16}{'ECE':>7}{'Brier':>7}"
    header += f"{'AUROC':>7}{'AURC':>7}{f'cover@{target:g}':>12}"
    lines = ["", header]
    for cell in summary["cells"]:
        verbalised, interval = cell["confidences"]["confidence"], cell["accuracy_interval"]
        line = f"{cell['total_budget']:>7}{_number(cell['answer_thinking_ratio'], 2):>7}{cell['n_records']:>9,}"
        line += f"{_number(cell['accuracy']):>10}"
        line += f"{_range(interval):>16}"
        for name in ("ece", "brier", "auroc", "aurc"):
            line += f"{_number(verbalised[name]):>7}"
        lines.append(line + f"{_number(verbalised['coverage_at_target']):>12}")
    questions, cells = summary["run"]["questions"], len(summary["cells"])
    sampled, alone = (summary[f"{name}_thinking_tokens"]["total"] for name in ("sampled", "standalone"))
    missing = sum(cell["confidences"]["confidence"]["n_missing"] for cell in summary["cells"])
    lines += [
        "",
        f"Records: {summary['n_records']:,}, with errors: {summary['n_errors']:,}, without a confidence: {missing:,}.",
        f"Questions: {questions['used']:,} of {questions['loaded']:,}. Rows skipped: {questions['n_skipped']:,}"
        f"{' (config.json lists them)' if questions['n_skipped'] else ''}.",
        f"Budget audit: {summary['n_records']:,} records, largest overshoot {summary['largest_overshoot']} tokens.",
        f"Thinking tokens: {sampled:,} sampled; "
        + (f"the {cells} cells run one by one would have sampled {alone:,}." if cells > 1 else "one cell."),
    ]
    return "\n".join(lines)


def answer_text(comparisons: dict) -> str:
    """What the comparisons allow to say, a paragraph per total budget and one for the conventional arm."""
    answers = [entry["answer"] for entry in comparisons["by_budget"]]
    if not answers:
        answers.append("There is nothing to compare: this run has a single arm.")
    if comparisons["conventional"]:
        answers.append(comparisons["conventional"]["answer"])
    return "\n".join(["", *(fill(answer, 110) for answer in answers), ""])


def ideal_table(cells: list[Cell], target_error: float) -> str:
    """What a reasoner without a slip reaches on the demo's task: the known truth beside which its results stand."""
    lines = ["", "An ideal reasoner on all the demo's questions, by arithmetic (demo/ideal.py):"]
    lines.append(f"{'budget':>7}{'ratio':>7}{'accuracy':>19}{'AUROC':>37}{'AURC':>7}{f'cover@{target_error:g}':>12}")
    for cell in cells:
        caps = (cell.answer_budget, cell.confidence_budget)
        line = f"{cell.total_budget:>7}{_number(cell.answer_thinking_ratio, 2):>7}{ideal_accuracy(caps[0]):>19.3f}"
        line += f"{_number(ideal_auroc(*caps)):>37}{ideal_aurc(*caps):>7.3f}"
        lines.append(line + f"{ideal_coverage(*caps, target_error):>12.3f}")
    return "\n".join([*lines, ""])


def _range(interval: dict[str, float] | None) -> str:
    return "-" if interval is None else f"{interval['low']:.3f}-{interval['high']:.3f}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main(argv: list[str]) -> int:
    """Runs the experiment; returns the exit status."""
    constants = {name: value for name, value in globals().items() if name in RULES}
    comments = comments_of_constants(Path(__file__).read_text(encoding="utf-8"))
    settings = None
    try:
        folder = folder_to_check(argv)
        if folder is not None:
            return check_results(folder)
        settings = read_settings(constants, DEMO, comments, __doc__, argv)
        with joined() as team:
            run(settings, team)
    except ToldElsewhere:
        return 2
    except ImportError as error:
        return ended(2, terminal.import_fault(error)) if speaks_for_machine() else 2
    except UserError as error:
        if settings is None and not speaks_for_machine():  # every process meets it alike
            return 2
        return ended(2, str(error))
    except KeyboardInterrupt as stop:
        return ended(128 + getattr(stop, "signum", 2), stop_signals.how_to_go_on(stop))
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        return ended(2, f"cannot write: {error.strerror}; the same command goes on once this is mended")
    return 0


def ended(status: int, reason: str) -> int:
    """Says why the program ends, and gives back its exit status."""
    with suppress(OSError):  # nobody can be told if what is printed goes to a full disk
        print(f"run_experiment.py: {one_line(reason)}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
