"""`--redraw`: makes figures, report and cells.csv of finished runs again, from their summary.json and records.jsonl."""
import sys
from pathlib import Path

from basics.errors import UserError, one_line
from report.cell_table import write_cell_table
from report.summary_errors import summary_errors_told
from runs.finished_runs import save_dir_of
from runs.results_folder import only_writer, read_summary, run_folders
from runs.summary import resummarise


def redraw(folders: list[str], changes: dict | None = None) -> int:
    """Redraws each run folder, and each run folder in a folder of them, then their index; returns the exit status.

    changes: settings of the summary to change, by name; with any, the summary is made again from the records. Prints a
    line for each run. One that cannot be redrawn is told on stderr, the others go on, and the status is 2.
    """
    from report.index_page import update_index  # here: jinja2 takes a tenth of a second

    status = 0
    for folder in folders:
        runs = run_folders(Path(folder).expanduser())
        if not runs:
            status = _told(f"--redraw {folder}: no results there; name a run folder or a folder of them")
        for run in runs:
            try:
                _redraw_run(run, changes)
            except UserError as error:
                status = _told(str(error))
        for save_dir in dict.fromkeys(map(save_dir_of, runs)):
            print(update_index(save_dir), flush=True)
    return status


def pages_of(folder: Path) -> dict[str, str]:
    """The figures and the report that a finished run should have: path in its folder -> what makes them again.

    Raises UserError if its summary is missing or of another shape.
    """
    from report.figures import figures_of

    path = folder / "summary.json"
    summary = read_summary(path)
    with summary_errors_told(path):
        names = [f"figures/{figure.file_name}" for figure in figures_of(summary)]
    return dict.fromkeys([*names, "report.html"], "--redraw")


def _redraw_run(run: Path, changes: dict | None) -> None:
    from report.figures import draw_figures  # here: matplotlib takes half a second
    from report.page import write_report

    with only_writer(run):
        if changes:
            resummarise(run, changes)
        files = draw_figures(run)
        write_cell_table(run)
        write_report(run)
    summary = "summary.json is made again, " if changes else ""
    print(one_line(f"{run}: {summary}{len(files)} figures and report.html are drawn again"), flush=True)


def _told(error: str) -> int:
    print(f"run_experiment.py: {one_line(error)}", file=sys.stderr, flush=True)
    return 2
