"""How is a fixed budget of thinking tokens best split between the answer and the confidence in it?

    python run_experiment.py                                     # the settings below
    python run_experiment.py --total-budget 100 200 400          # every setting has a flag of its name
    python run_experiment.py --demo                              # no GPU, no download: a tiny model of our own
    accelerate launch --multi_gpu run_experiment.py              # several GPUs: docs/clusters.md
    python run_experiment.py --look questions.csv                # how is this file read? no model is needed
    python run_experiment.py --dry-run                           # what would the run compute and cost? 20 questions are
    python run_experiment.py --check ./results_reasoning/        # are the results there complete and consistent?
    python run_experiment.py --redraw ./results_reasoning/       # their figures and reports again
    python run_experiment.py --cascade EDGE_RUN CLOUD_RUN        # which split is cheapest in a cascade: docs/cascade.md
    python run_experiment.py --compare RUN OTHER_RUN             # finished runs side by side: docs/comparisons.md
    python run_experiment.py --help

Results go to SAVE_DIR/<run name>/: config.json, records.jsonl, summary.json, cells.csv, figures/, report.html.
SAVE_DIR/index.html lists all runs.
"""
import sys

from runs import stop_signals, terminal

if __name__ == "__main__":
    stop_signals.listen()  # before the imports below: a signal may come at any time
    terminal.set_up()

import time
from contextlib import closing
from pathlib import Path

from basics.errors import UserError
from basics.files import write_json
from demo.ideal import ideal_table
from questions.option_orders import Unit
from questions.question_sets import load_questions, select_questions
from runs.budgets import make_cells
from runs.check import check_results
from runs.computation import Computation, compute_units
from runs.forecast import forecast
from runs.identity import run_config
from runs.journal import only_writer_of, process_journal
from runs.look import look
from runs.prepared_run import PreparedRun
from runs.processes import ToldElsewhere, is_local_main, process_group
from runs.progress import shown_progress
from runs.results_folder import (
    check_inputs_unchanged,
    check_writable,
    earlier_processes,
    only_writer,
    other_summary_settings,
)
from runs.settings import (
    RULES,
    VERB_SETTINGS,
    asked_for_dry_run,
    asked_of_results,
    asked_to_look,
    check_spelling,
    comments_of_constants,
    flag_of,
    read_settings,
)
from runs.summary import write_summary
from runs.terminal import answer_text, disk_fault, ended, import_fault, results_table
from runs.units import Workload, make_units, make_workload

# --- Settings: unit, range and reason on each line; docs/settings.md says more -----------------------------------
TOTAL_BUDGET = 200  # thinking tokens per question, both stages together, >= 0 (100-400 recommended); a list sweeps
ANSWER_THINKING_RATIO = 0.5  # share of the budget for the answer stage, 0.0-1.0; a list sweeps
CONVENTIONAL_ARM = True  # True or False: beside the grid, the same model without any thinking (total budget 0)
SAVE_DIR = "./results_reasoning/"  # folder for results; each configuration gets its own folder inside
model_name = "Qwen/Qwen3-4B"  # hub id or local folder of a chat model in safetensors

ENGINE = "transformers"  # who computes: "transformers", "vllm", or the URL of a running vLLM server (docs/engines.md)
DTYPE = "auto"  # number format of the weights: "auto" = as in the model's files, "bfloat16", "float16" or "float32"

DATASET = "netop/TeleQnA"  # hub id, or a local .json, .jsonl, .csv, .tsv, .parquet or .txt file
DATASET_CONFIG = ""  # configuration of a hub data set that has several, such as "ARC-Challenge"; empty = the only one
DATASET_SPLIT = "test"  # split of a hub data set, or of a local file or folder that has several
N_QUESTIONS = 1000  # questions, drawn by SEED and nested when the number grows; 0 = all
N_PERMUTATIONS = 5  # orders of the options per question, >= 1; the first is as given, more average out letter bias
N_THOUGHTS = 1  # thoughts per question, order and stage, >= 1; with 2 or more the noise of sampling has a figure

TEMPERATURE = 0.6  # of thinking, >= 0; 0.6 is Qwen's value for thinking mode, 0 is greedy, which loops
TOP_P = 0.95  # of thinking, in (0, 1]; Qwen's value for thinking mode
TOP_K = 20  # of thinking, >= 0, 0 = off; Qwen's value for thinking mode
BATCH_SIZE = 0  # prompts at a time, 0 = as many as fit; changes speed and memory, in float32 no record
SEED = 42  # of questions, permutations, thoughts and intervals, >= 0
TARGET_ERROR = 0.05  # error rate that automated answers must stay under, in (0, 1)
CASCADE_COSTS = ["0.05/M", "0.5/M", 1]  # --cascade: per run, then the expert: money per million tokens (/M) or question
CONFIDENCE = "confidence"  # which one decides: "confidence", "confidence_expectation", "p_true", "answer_probability"
WRONG_ANSWER_COSTS = [1, 9, 19]  # of a wrong answer, a right one brings 1, none 0; > 0; answers count from c/(1+c) on
SMALLEST_DIFFERENCE = 0  # of AURC that matters to you, in [0, 1); closer ratios are equivalent; 0 = nothing is said

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


def run(settings: dict, group, is_dry: bool = False) -> None:
    """The whole experiment, from checked settings to the table at the end. group: the processes of the run.

    is_dry: what the run would compute and cost is printed instead.
    """
    if is_dry and group.number > 1:
        raise UserError(f"--dry-run needs one process, {group.number} were launched")
    conventional = [0] if settings["CONVENTIONAL_ARM"] else []
    cells = make_cells([*settings["TOTAL_BUDGET"], *conventional], settings["ANSWER_THINKING_RATIO"])
    check_writable(settings["SAVE_DIR"])
    group.say(f"Reading {settings['DATASET']} and the tokenizer of {settings['model_name']} ...")

    # Imported once the settings are known to be right and something is printed: torch and transformers take seconds.
    from thinking.devices import check_no_gpu_is_left_out
    from thinking.libraries import prepare_libraries
    from thinking.prompt_encoder import PromptEncoder

    prepare_libraries()
    if settings["ENGINE"] in ("transformers", "vllm"):
        check_no_gpu_is_left_out()
    question_set = load_questions(settings["DATASET"], settings["DATASET_CONFIG"] or None, settings["DATASET_SPLIT"])
    questions = select_questions(question_set.questions, settings["N_QUESTIONS"], settings["SEED"])
    encoder = PromptEncoder.load(settings["model_name"])
    if any(cell.total_budget > 0 for cell in cells):
        encoder.check_thinking()
    units = make_units(questions, settings["N_PERMUTATIONS"], settings["SEED"], settings["N_THOUGHTS"])
    workload = make_workload(units, encoder, cells)
    group.say(workload.remark())

    if is_demo(settings):
        group.say("Demo: a tiny model made for this task, not Qwen3. Its figures say nothing about any other model.")
        shown = ("TOTAL_BUDGET", "ANSWER_THINKING_RATIO", "N_QUESTIONS", "N_PERMUTATIONS")
        group.say("Settings: " + ", ".join(f"{name} {settings[name]}" for name in shown))
    elif is_demo_path("model_name", settings):
        group.say("The model is the demo's: made for a task of its own, it knows nothing of these questions.")
    model, batch_size = load_model(settings, encoder, workload, group)
    with closing(model):
        prepared = PreparedRun(settings, cells, question_set, workload, model, batch_size)
        if is_dry:
            with stop_signals.nothing_is_kept():
                for line in forecast(prepared):
                    group.say(line)
        else:
            compute_and_score(prepared, group)


def compute_and_score(prepared: PreparedRun, group) -> None:
    """Every unit that is not on disk yet becomes records; then the summary, the report, and what is printed of them."""
    from report.index_page import update_index
    from runs.provenance import this_process

    settings, folder, units = prepared.settings, prepared.folder, prepared.workload.units
    config = run_config(settings, is_demo(settings), prepared.identity, prepared.question_set, prepared.workload)
    this = this_process(prepared.model.device, prepared.model.place, prepared.batch_size)
    entries = group.meet(folder.name, this | group.place)
    if not group.is_main:
        group.finish(entries[group.index] | compute_share(prepared, group))
        return
    group.say(check_inputs_unchanged(folder, settings, prepared.identity))
    with only_writer(folder):
        processes = earlier_processes(folder, prepared.identity)
        config["taken_over_from"] = prepared.earlier.sources(folder)
        group.say(prepared.earlier.remark())
        write_json(folder / "config.json", config | {"processes": [*processes, *entries]})
        computation = prepared.computation(folder / "records.jsonl", units)
        compute_all(computation, units, group)
        config["processes"] = [*processes, *group.finished_entries(entries[0] | computation.cost)]
        write_json(folder / "config.json", config)
        group.say(other_summary_settings(folder, settings))
        summary, report = score(folder, config)
    index = update_index(folder.parent)  # before anything is printed, which nobody may read to the end
    print(results_table(summary))
    if config["is_demo"]:
        print(ideal_table(prepared.cells, settings["TARGET_ERROR"]))
    print(answer_text(summary))
    print(f"Results: {folder}\nReport: {report}")
    print(index)


def is_demo(settings: dict) -> bool:
    """Whether model and questions are the built-in demo's, however their paths are written."""
    return all(is_demo_path(name, settings) for name in ("model_name", "DATASET"))


def is_demo_path(name: str, settings: dict) -> bool:
    """Whether a setting names the demo's own file or folder."""
    return Path(settings[name]).expanduser().resolve() == Path(DEMO[name])


def load_model(settings: dict, encoder, workload: Workload, group) -> tuple:
    """The model on its device, with room for the longest unit, and how many prompts it takes at a time."""
    from thinking.sampling import Sampling

    sampling = Sampling(settings["TEMPERATURE"], settings["TOP_P"], settings["TOP_K"])
    if settings["ENGINE"] != "transformers":
        return load_vllm(settings, encoder, sampling, workload, group)
    from hugging_face_model import HuggingFaceModel
    from thinking.devices import choose_device, device_line, slow_format_line
    from thinking.libraries import keep_freed_memory
    from thinking.load_weights import check_architecture

    check_architecture(encoder.model_name, encoder.config)
    device = group.device or choose_device(encoder, workload.tokens_per_row, settings["TOP_K"], settings["DTYPE"])
    group.say(device_line(device, group.number))
    group.say("Loading the model ...")
    content = encoder.model_fingerprint()
    model = HuggingFaceModel(encoder, sampling, device, dtype=settings["DTYPE"])
    dtype = model.identity()["dtype"]
    group.say(f"Number format of the weights: {dtype}")
    group.say(slow_format_line(model.device, dtype))
    model.limit_threads()
    if model.device.type == "cpu":
        keep_freed_memory()
    if encoder.model_fingerprint() != content:
        raise UserError(f"model_name = {settings['model_name']!r}: its files changed while they were loaded; try again")
    model.reserve(workload.tokens_per_row)
    batch_size = settings["BATCH_SIZE"] or model.rows_that_fit(workload.tokens_per_row)
    peak = model.predicted_peak_bytes(batch_size, workload.tokens_per_row, workload.readings)
    group.say(f"Prompts at a time: {batch_size:,}; memory at the peak, predicted: {peak / 1e9:.1f} GB")
    return model, batch_size


def load_vllm(settings: dict, encoder, sampling, workload: Workload, group) -> tuple:
    """The model in vLLM, here or on a server, and how many questions are in flight at a time."""
    from thinking.vllm_engine.model import ROWS, VllmModel, connect

    if group.number > 1:
        raise UserError(
            f"ENGINE = {settings['ENGINE']!r} needs one process, {group.number} were launched: vLLM itself spreads a"
            " model over GPUs (docs/engines.md)"
        )
    group.say("Starting vLLM ..." if settings["ENGINE"] == "vllm" else "Asking the server ...")
    transport = connect(settings["ENGINE"], encoder, workload.tokens_per_row, settings["DTYPE"])
    model = VllmModel(encoder, sampling, transport, workload.tokens_per_row, settings["DTYPE"])
    batch_size = settings["BATCH_SIZE"] or ROWS
    group.say(f"{model.remark()}\nQuestions in flight: {batch_size:,}")
    return model, batch_size


def compute_all(computation: Computation, units: list[Unit], group) -> None:
    """Main process: deals the units that no journal holds yet, computes its share, and takes over what others did."""
    journal = computation.journal
    journal.take_over_processes()  # of an earlier launch that was interrupted
    computation.take_over_earlier(units)
    left = [index for index, unit in enumerate(units) if unit.key not in journal.finished.ids]
    done = len(units) - len(left)
    if done:
        nothing_left = "" if left else ": nothing is left to compute"
        print(f"{done:,} of {len(units):,} units are in {journal.path} already{nothing_left}", flush=True)
    computation.check_errors()
    share = [units[index] for index in group.deal(left)]
    with shown_progress(len(units), done) as show:
        compute_units(computation, share, lambda *new: show(*group.progress(*new)), group.check)
        while group.others_at_work():
            show(*group.progress(0, 0))
            time.sleep(0.2)
        show(*group.progress(0, 0))
    journal.take_over_processes()
    computation.check_errors()


def compute_share(prepared: PreparedRun, group) -> dict:
    """Not the main process: computes its share into a journal of its own; returns what it cost."""
    path, share = process_journal(prepared.folder, group.index), group.own_share(prepared.workload.units)
    with only_writer_of(path):
        computation = prepared.computation(path, share)
        compute_units(computation, share, group.progress, group.check)
    return computation.cost


def score(folder: Path, config: dict) -> tuple[dict, Path]:
    """Writes summary, figures and report of the records in a run folder; returns the summary and the report's path."""
    from report.cell_table import write_cell_table
    from report.figures import draw_figures
    from report.page import write_report

    summary = write_summary(folder, config)
    write_cell_table(folder)
    draw_figures(folder)
    return summary, write_report(folder)


def with_results(verb: str, folders: list[str], settings: dict | None, given: set[str]) -> int:
    """What is done with finished results instead of a run; returns the exit status.

    settings: those that the verb takes; given: the names of those that stand beside it.
    """
    if verb == "--cascade":
        from cascade.command import run_cascade

        return run_cascade(folders, settings["CASCADE_COSTS"], settings["TARGET_ERROR"], settings["SEED"])
    if verb == "--compare":
        from compare.compare_runs import run_compare

        return run_compare(folders, settings["CONFIDENCE"], settings["SEED"])
    if verb == "--redraw":
        from report.redraw import redraw

        return redraw(folders, {name: settings[name] for name in given})
    from report.redraw import pages_of

    return check_results(folders, pages_of)


def main(argv: list[str]) -> int:
    """Runs the experiment; returns the exit status."""
    constants = {name: value for name, value in globals().items() if name in RULES}
    source = Path(__file__).read_text(encoding="utf-8")
    comments, settings = comments_of_constants(source), None
    try:
        check_spelling(source)
        if asked := asked_of_results(argv):
            verb, folders, flags = asked
            names = VERB_SETTINGS.get(verb, ())
            of_verb = read_settings(constants, DEMO, comments, __doc__, flags) if names else None
            given = {name for name in names if any(flag.partition("=")[0] == flag_of(name) for flag in flags)}
            return with_results(verb, folders, of_verb, given)
        if asked := asked_to_look(argv):
            return look(read_settings(constants, DEMO, comments, __doc__, asked))
        flags = asked_for_dry_run(argv)
        settings = read_settings(constants, DEMO, comments, __doc__, argv if flags is None else flags)
        with process_group() as group:
            run(settings, group, is_dry=flags is not None)
    except ToldElsewhere:
        return 2
    except ImportError as error:
        return ended(2, import_fault(error)) if is_local_main() else 2
    except UserError as error:
        if settings is None and not is_local_main():  # every process meets it alike
            return 2
        return ended(2, str(error), error.example)
    except KeyboardInterrupt as stop:
        return ended(128 + getattr(stop, "signum", 2), stop_signals.how_to_go_on(stop))
    except OSError as error:
        if (fault := disk_fault(error)) is None:
            raise
        return ended(2, fault)
    return 0



if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
