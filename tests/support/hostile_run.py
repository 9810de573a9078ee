"""A run folder in which every text tries to become HTML or script."""
import json

from synthetic_run import CELLS, make_records, make_summary, png

HOSTILE = (
    "</script><script>window.planted = true</script>",
    "<img src=x onerror=\"window.planted = true\">",
    "line\u2028and\u2029paragraph",
    "nul\0 and \ufffd alone, \ud800 half",
    "\u202egnitirw \u2067drawkcab\u2069",
    "<!--<script>", "]]>", "&lt;b&gt; &amp;", '"\' {{ 7 * 7 }} {% raw %}',
)  # fmt: skip


def plant(record):
    """Every text of a record made hostile, a different one per question."""
    text = HOSTILE[int(record["question_id"][1:]) % len(HOSTILE)]
    for name in ("question_id", "category", "question", "answer_thinking", "confidence_thinking"):
        record[name] = text + record[name]
    record["options"] = [text + option for option in record["options"]]
    record["error"] = text if record["answer_thinking_ratio"] == 0.5 else None


def hostile_summary(records):
    summary = make_summary(records)
    text = "".join(HOSTILE)
    summary["run"]["settings"] |= {"model_name": text, "DATASET": text, text: text}
    summary["run"]["questions"] |= {"skipped": [{"row": text, "reason": text}], "notes": [{"row": text, "note": text}]}
    summary["run"]["identity"] |= {text: {text: [text]}}
    summary["run"]["processes"][0] |= {"device": text, "git_commit": text, "started": text}
    for comparison in summary["comparisons"]["by_budget"]:
        comparison |= {"answer": text, "no_verdict": text}
    return summary


def write_hostile_folder(folder):
    records = make_records(len(HOSTILE), change=plant)
    for record in records[: len(CELLS)]:
        record["options"][0] = "<b>" * 100_000  # 300 kB, more than a chunk of the page
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "saturation.png").write_bytes(png())
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "summary.json").write_text(json.dumps(hostile_summary(records)))
    return records
