"""The page as text, then the page in a real browser."""
import base64
import copy
import functools
import hashlib
import itertools
import json
import operator
import re
import shutil
from collections import Counter
from html.parser import HTMLParser

import pytest
from hostile_run import HOSTILE, write_hostile_folder
from synthetic_run import make_config, make_records, make_summary, png, write_run_folder

from basics.errors import UserError
from evaluation_tool import summarise
from report import page as report_page
from report.embedded_records import embed_records, escaped_json, shared_texts
from report.page import write_report

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Tags in order with their attributes; fails on a tag that closes nothing."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.texts.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def page_of(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def blocks(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', text, re.DOTALL)
    return {name: json.loads(content) for name, content in found}


def browsed(folder):
    """Every record of the page as the browser puts it together: thoughts cut from the shared texts."""
    parts = blocks(folder)
    index, found = parts["record-index"], []
    units = [unit for name, chunk in parts.items() if name.startswith("record-texts-") for unit in chunk]
    for place, unit in enumerate(units):
        question_id, question = index["questions"][index["units"]["question"][place]]
        for values in unit["shown"]["records"]:
            fields = dict(zip(index["fields"], values, strict=True))
            for stage in ("answer", "confidence"):
                reference = fields[f"{stage}_thinking"]
                if reference is not None:
                    encoded = unit["thoughts"][reference[0]].encode("utf-16-le", "surrogatepass")
                    fields[f"{stage}_thinking"] = encoded[: 2 * reference[1]].decode("utf-16-le", "surrogatepass")
            cell = index["cells"][index["records"]["cell"][len(found)]]
            unit_fields = {"question_id": question_id, "question": question, "options": unit["shown"]["options"]}
            unit_fields |= {"permutation": index["units"]["permutation"][place]}
            unit_fields |= {"category": index["categories"][index["units"]["category"][place]]}
            found.append(fields | cell | unit_fields)
    return found


def key(record):
    return tuple(record[name] for name in ("question_id", "permutation", "total_budget", "answer_thinking_ratio"))


# --- the page as text --------------------------------------------------------------------------------------------


def test_the_page_has_its_sections_in_order_and_every_table_has_a_caption_and_headers(tmp_path):
    page = page_of(write_run_folder(tmp_path / "run", make_records(6, 2)))
    headings = [attributes.get("id") for attributes in page.named("h2")]
    assert headings == [
        "answer", "results", "differences", "deployment", "figures", "diagnostics", "groups", "budgets", "missing",
        "provenance", "records",
    ]  # fmt: skip
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.named("a")} <= {f"#{name}" for name in ids}
    assert len(page.named("caption")) == len(page.named("table")) - 1  # the list of records is labelled by its region
    assert all("scope" in attributes for attributes in page.named("th"))
    assert all(attributes["alt"] for attributes in page.named("img"))
    assert "made/up-4B on made/questions" in page.text
    assert "Budget 100: the made-up answer in words." in page.text
    assert "Reasoning beats the conventional arm" in page.text
    assert "2026-11-24" in page.text


def test_a_run_without_two_ratios_says_what_its_cells_have_instead_of_a_choice(tmp_path):
    records = make_records(6, cells=[(0, None), (100, 0.5)])
    page = page_of(write_run_folder(tmp_path / "run", records))
    assert "Total budget 100, ratio 0.5: accuracy 0.250 (95% interval 0.150 to 0.350)" in page.text
    assert "No thinking: accuracy 0.250" in page.text
    assert "which ratio for whom" not in page.text
    assert "pairs of ratios" not in page.text
    alone = page_of(write_run_folder(tmp_path / "alone", make_records(6, cells=[(0, None)])))
    assert "No thinking: accuracy 0.250" in alone.text
    assert "nothing to compare" not in alone.text
    assert "This run has a single cell, so there are no differences." in alone.text


def test_a_figure_that_shows_nothing_is_neither_shown_nor_missed(tmp_path):
    records = make_records(6, cells=[(0, None)])
    summary = make_summary(records)
    summary["saturation"] = {"answer": [], "confidence": []}
    names = ("against_ratio.png", "cost_frontier.png", "saturation.png", "reliability.png", "risk_coverage.png")
    page = page_of(write_run_folder(tmp_path / "run", records, summary, figures=(*names, "position_bias.png")))
    assert [image["alt"].partition(":")[0] for image in page.named("img")] == [
        "Small charts, one per cell", "Step charts, one per budget", "Bar charts, one per cell shown",
    ]  # fmt: skip
    assert "missing in this run folder" not in page.text


def test_a_target_that_no_cell_has_a_threshold_for_is_said_once(tmp_path):
    records = make_records(6)
    summary = make_summary(records)
    for cell in summary["cells"]:
        for target in cell["confidences"]["confidence"]["guaranteed_thresholds"][:2]:
            target |= dict.fromkeys(("threshold", "coverage", "n_used", "n_wrong"))
    page = page_of(write_run_folder(tmp_path / "run", records, summary))
    assert page.text.count("none was certified") == 1
    said = "Verbalised confidence: none was certified in any cell for an error of at most 0.05 or 0.1 (n = 6)"
    assert said in page.text
    assert page.text.count("no threshold was certified in any cell for an error rate of at most 0.05") == 1


def test_each_cell_has_its_categories_and_permutations(tmp_path):
    records = make_records(6, 2)
    summary = make_summary(records)
    low = summary["cells"][2]["per_category"][0]
    low |= {"n_questions": 3, "accuracy": 0.6543, "accuracy_interval": None, "ece": 0.4321}
    page = page_of(write_run_folder(tmp_path / "run", records, summary))
    assert "Category: accuracy and ECE, budget / ratio 100 / 0.5" in page.text
    assert page.text.count("Permutation of the options (0 is the order as given): accuracy and ECE") == 4
    assert "0.654" in page.text
    assert "0.432" not in page.text  # of three questions
    for cell in summary["cells"]:
        del cell["per_category"][1:], cell["per_permutation"][1:]
    page = page_of(write_run_folder(tmp_path / "alone", records, summary))
    assert "All questions are of one category and were asked in one order" in page.text


def test_numbers_stand_in_the_page_as_they_are_in_the_summary(tmp_path):
    records = make_records(6)
    summary = make_summary(records)
    cell = summary["cells"][1]
    cell["accuracy"], cell["accuracy_interval"] = 0.98765, {"low": 0.91, "high": 0.999}
    cell["confidences"]["confidence"]["guaranteed_thresholds"][0] |= {"threshold": None, "coverage": None}
    summary["comparisons"]["by_budget"][0]["differences"]["aurc"][0] = {
        "ratio": 0.0, "against_ratio": 0.5, "difference": -0.123, "interval": {"low": -0.2, "high": -0.05},
        "questions_needed": 98765,
    }  # fmt: skip
    page = page_of(write_run_folder(tmp_path / "run", records, summary))
    assert "0.9880.910 to 0.999" in page.text
    assert page.text.count("none was certified") == 1
    assert "\N{MINUS SIGN}0.123\N{MINUS SIGN}0.200 to \N{MINUS SIGN}0.050" in page.text
    assert "98,765" in page.text
    assert "has no key" in page.text
    assert "text differs" in page.text
    assert "abc123" in page.text


@pytest.mark.parametrize("is_known", [True, False])
def test_where_the_variance_comes_from_has_a_table_where_it_is_known(tmp_path, is_known):
    records = make_records(3)
    summary = make_summary(records)
    for cell in summary["cells"] if not is_known else ():
        cell["accuracy_variance"] = dict.fromkeys(cell["accuracy_variance"])
    page = write_report(write_run_folder(tmp_path / "run", records, summary)).read_text(encoding="utf-8")
    assert ("variance-table" in page) == is_known


def test_null_is_a_dash_everywhere_and_never_the_word_none(tmp_path):
    def empty(record):
        for name, value in record.items():
            if isinstance(value, float | bool) or name in ("predicted_option", "answer_probabilities", "category"):
                record[name] = None if name != "answer_thinking_ratio" else value
            if name.startswith(("answer_", "confidence_")) and not name.endswith(("_budget", "_ratio")):
                record[name] = None
        record["error"] = "answer stage: logits are not finite"

    records = make_records(3, change=empty)
    page = page_of(write_run_folder(tmp_path / "run", records, make_summary(records, has_values=False)))
    for word in ("None", "null", "nan", "undefined"):
        assert not re.search(rf"\b{word}\b", page.text)
    assert "no value" in page.text
    assert {record["answer_thinking"] for record in browsed(tmp_path / "run")} == {None}


def test_a_page_without_figures_or_with_a_damaged_one_says_so(tmp_path):
    folder = write_run_folder(tmp_path / "run", make_records(3), figures=())
    assert "6 figures are missing in this run folder" in page_of(folder).text
    (folder / "figures" / "saturation.png").write_bytes(b"<svg onload=alert(1)>")
    page = page_of(folder)
    assert "saturation.png is not a PNG file" in page.text
    assert "5 figures are missing in this run folder" in page.text
    shutil.rmtree(folder / "figures")
    assert "6 figures are missing in this run folder" in page_of(folder).text


def test_figures_are_embedded_whole_with_their_size(tmp_path):
    folder = write_run_folder(tmp_path / "run", make_records(3), figures=("saturation.png", "reliability.png"))
    images = page_of(folder).named("img")
    assert [base64.b64decode(image["src"].partition(",")[2]) for image in images] == [png()] * 2
    assert [(image["width"], image["height"]) for image in images] == [("8", "4")] * 2
    assert [image["alt"].partition(":")[0] for image in images] == [
        "Small charts, one per cell",
        "Line chart of the share of natural thoughts against the cap, a line per stage",
    ]


def test_a_summary_made_by_the_program_itself_has_a_page(tmp_path):
    records = make_records(30, 2)
    summary = summarise(iter(records), 0.05, 42)
    page = page_of(write_run_folder(tmp_path / "run", records, summary | {"run": make_config()}))
    accuracy = sum(record["is_correct"] for record in records if record["total_budget"] == 0) / 60
    assert f"{accuracy:.3f}" in page.text


def test_the_page_of_the_demo_says_that_it_is_the_demo(tmp_path):
    records = make_records(6)
    summary = make_summary(records)
    assert "built-in demo:" not in page_of(write_run_folder(tmp_path / "run", records, summary)).text
    summary["run"]["is_demo"] = True
    page = page_of(write_run_folder(tmp_path / "demo", records, summary))
    said = "This is the built-in demo: a tiny model made for one task, not Qwen3. Its figures say nothing about Qwen3"
    assert page.text.index(said) < page.text.index("How to split a thinking budget:", page.text.index(said))
    assert page.text.index(said) < page.text.index("Budget 100: the made-up answer")


def test_the_same_folder_gives_the_same_page_wherever_the_checkout_lies(tmp_path, monkeypatch):
    records = make_records(6)
    summary = make_summary(records)
    summary["run"]["is_demo"] = True
    folder = write_run_folder(tmp_path / "run", records, summary)
    here = write_report(folder).read_bytes()
    (tmp_path / "elsewhere").mkdir()
    for name in ("page.html", "figure.html", "page.css", "page.js", "enlarge.js"):
        shutil.copy(report_page.HERE / name, tmp_path / "elsewhere")
    monkeypatch.setattr(report_page, "HERE", tmp_path / "elsewhere")
    assert write_report(folder).read_bytes() == here


def test_a_page_whose_records_are_not_those_of_the_summary_says_so(tmp_path):
    records = make_records(6)
    page = page_of(write_run_folder(tmp_path / "run", records[4:], make_summary(records)))
    assert "records.jsonl holds 20 records, summary.json counts 24" in page.text


def test_a_broken_cap_is_said_at_the_top(tmp_path):
    records = make_records(3)
    page = page_of(write_run_folder(tmp_path / "run", records, make_summary(records) | {"largest_overshoot": 2}))
    assert "A cap was broken: a thought was 2 tokens longer than its cap" in page.text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("summary.json", None, "summary.json: not found; name the folder"),
        ("summary.json", b"{", "is not JSON"),
        ("summary.json", b"\xff", "is not JSON"),
        ("summary.json", b"[]", "is no summary"),
        ("summary.json", b"[" * 100_000, r"is not JSON \(brackets within brackets\)"),
        ("summary.json", b'{"cells": ' + b"[" * 500 + b"]" * 500 + b"}", r"is not JSON \(brackets within brackets\)"),
        ("summary.json", b'{"cells": [{"ece": "0.1"}]}', r"cells\[0\].ece is '0.1', where a number belongs"),
        ("summary.json", b'{"cells": [{}]}', "summary.json: .*'total_budget'"),
        ("records.jsonl", None, "records.jsonl: No such file"),
        ("records.jsonl", b'{"question_id": "torn', "line 1 is no record; run the experiment again"),
        ("records.jsonl", b"{}\n", "line 1 is no record of this version of the program: it lacks 'question_id'"),
        ("records.jsonl", b'{"question_id": NaN}\n', "line 1 is no record; mend the file or move it away"),
        ("records.jsonl", b'{"question_id": 1e999}\n', "line 1 is no record"),
        ("records.jsonl", b"[" * 100_000 + b"\n", "line 1 is no record"),
        ("records.jsonl", b"\xff\xfe\n", "line 1 is no record"),
    ],
)
def test_a_folder_without_usable_files_is_refused_in_one_line(tmp_path, name, content, words):
    folder = write_run_folder(tmp_path / "run", make_records(2))
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as raised:
        write_report(folder)
    assert "\n" not in str(raised.value)
    assert not list(folder.glob("report.html*"))


def places(value, place=()):
    """Paths to everything inside a JSON value, first entries of lists only."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*place, name)
        yield from places(one, (*place, name))


def test_a_summary_with_anything_in_the_wrong_place_is_shown_or_refused_in_one_line(tmp_path):
    folder = write_run_folder(tmp_path / "run", make_records(2))
    whole = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    outcomes = Counter()
    wrongs = itertools.cycle(["text", [], {}, None, 7, [[None]], [{}]])
    for place, wrong in zip(sorted(places(whole), key=str)[::5], wrongs, strict=False):
        damaged = copy.deepcopy(whole)
        *outer, last = place
        functools.reduce(operator.getitem, outer, damaged)[last] = wrong
        (folder / "summary.json").write_text(json.dumps(damaged), encoding="utf-8")
        try:
            write_report(folder)
            outcomes["shown"] += 1
        except UserError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    assert outcomes["refused"] > 5


def test_a_link_in_place_of_the_page_gives_way(tmp_path):
    folder, victim = write_run_folder(tmp_path / "run", make_records(2)), tmp_path / "victim"
    victim.write_text("precious")
    for name in ("report.html", "report.html.tmp"):
        (folder / name).symlink_to(victim)
    write_report(folder)
    assert victim.read_text() == "precious"
    assert not (folder / "report.html").is_symlink()


@pytest.mark.parametrize(("name", "value"), [("question", 7), ("answer_stopped", "maybe"), ("options", None)])
def test_a_field_that_cannot_be_is_named_with_its_line(tmp_path, name, value):
    records = make_records(2)
    records[5][name] = value
    folder = write_run_folder(tmp_path / "run", records, make_summary(make_records(2)))
    with pytest.raises(UserError, match=f"line 6.*{name}"):
        write_report(folder)


def test_a_page_allows_its_own_style_and_script_and_nothing_else(tmp_path):
    folder = write_run_folder(tmp_path / "run", make_records(2))
    text = write_report(folder).read_text(encoding="utf-8")
    policy = next(tag["content"] for tag in Page(text).named("meta") if "http-equiv" in tag)
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for words in ("http://", "https://", "innerHTML", "insertAdjacent", "document.write", "eval("):
        assert words not in text


def test_hostile_texts_add_no_tag_to_the_page_and_come_back_as_they_were(tmp_path):
    records = write_hostile_folder(tmp_path / "hostile")
    page = page_of(tmp_path / "hostile")
    clean = page_of(write_run_folder(tmp_path / "clean", make_records(len(HOSTILE))))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in clean.tags}
    scripts = [attributes for attributes in page.named("script") if attributes.get("type") != "application/json"]
    assert scripts == [{}]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert len(page.named("img")) == 1
    found = {key(record): record for record in browsed(tmp_path / "hostile")}
    assert len(found) == len(records)
    for record in records:
        for name in ("question", "options", "category", "answer_thinking", "confidence_thinking", "error"):
            assert found[key(record)][name] == record[name]


# --- what is embedded --------------------------------------------------------------------------------------------


def test_escaped_json_is_the_same_value_without_characters_that_html_or_utf8_stumbles_over():
    for text in HOSTILE:
        written = escaped_json({"text": text})
        assert json.loads(written) == {"text": text}
        assert not set(written) & set("<>&\u2028\u2029\ud800\0")
        written.encode()


def test_every_record_can_be_put_together_again(tmp_path):
    records = make_records(15, 3)
    write_report(write_run_folder(tmp_path / "run", records))
    found = {key(record): record for record in browsed(tmp_path / "run")}
    assert len(found) == len(records)
    for record in records:
        shown = found[key(record)]
        assert {name: shown[name] for name in ("answer_thinking", "confidence_thinking", "options", "category")} == {
            name: record[name] for name in ("answer_thinking", "confidence_thinking", "options", "category")
        }
        assert shown["answer_probability"] == pytest.approx(record["answer_probability"], rel=1e-5)
        assert shown["answer_thinking_tokens"] == record["answer_thinking_tokens"]


def test_texts_are_shared_only_where_one_begins_the_other_exactly():
    longest = "one two \N{GRINNING FACE} three"
    cut_inside = "one two \ufffd"  # a cap inside the bytes of a character
    texts = [longest, "one two", None, cut_inside, "", longest, "other", "one two \N{GRINNING FACE}"]
    stored, places = shared_texts(texts)
    assert stored == [longest, cut_inside, "other"]
    assert places == [[0, 16], [0, 7], None, [1, 9], [0, 0], [0, 16], [2, 5], [0, 10]]


def test_records_are_sorted_by_question_with_numbers_as_numbers(tmp_path):
    records = make_records(12, cells=[(100, 0.5)])
    write_run_folder(tmp_path / "run", records[::-1], make_summary(records))
    write_report(tmp_path / "run")
    assert [record["question_id"] for record in browsed(tmp_path / "run")] == [f"q{number}" for number in range(12)]


def bytes_of(embedded):
    return sum(len(text.encode()) for text in (embedded.index, *embedded.chunks))


def test_a_limit_keeps_the_first_units_whole_whatever_the_order_of_the_file(tmp_path):
    records = make_records(40, 2, cells=[(100, 0.5)])
    for record in records[:20]:  # units of very different sizes
        record["question"] += " long" * 400
    write_run_folder(tmp_path / "run", records)
    write_run_folder(tmp_path / "reversed", records[::-1])
    whole = embed_records(tmp_path / "run" / "records.jsonl", 10**9)
    assert (whole.n_embedded, whole.left_out) == (80, [])
    kept_by_part, orders = [], set()
    for part in (2, *(step / 20 for step in range(18, 0, -1))):
        max_bytes = int(part * bytes_of(whole))
        embedded = embed_records(tmp_path / "run" / "records.jsonl", max_bytes)
        assert embedded == embed_records(tmp_path / "reversed" / "records.jsonl", max_bytes)
        assert bytes_of(embedded) <= max_bytes + 1000  # the names of the fields stand in the index once
        assert embedded.n_embedded == 80 - sum(row["n_left_out"] for row in embedded.left_out)
        assert all(row["n_left_out"] > 0 for row in embedded.left_out)
        units = [unit for chunk in embedded.chunks for unit in json.loads(chunk)]
        assert all(unit["thoughts"] for unit in units)
        kept_by_part.append({json.dumps(unit["shown"]) for unit in units})
        orders.add(tuple(row["permutation"] for row in embedded.left_out))
    assert all(fewer <= more for more, fewer in itertools.pairwise(kept_by_part))
    assert orders == {(), (1,), (0, 1)}  # the first order of the options is kept longest


def test_the_page_says_what_a_cap_left_out(tmp_path, monkeypatch):
    folder = write_run_folder(tmp_path / "run", make_records(20, 2))
    assert "were left out" not in page_of(folder).text
    monkeypatch.setattr(report_page, "MAX_EMBEDDED_BYTES", 12_000)
    page = page_of(folder)
    index = blocks(folder)["record-index"]
    kept = len(index["records"]["cell"])
    assert 0 < kept < 160
    assert f"holds {kept} of 160 records" in page.text
    n_left_out = 20 - index["units"]["permutation"].count(1)
    assert f"Order 1: {n_left_out} of 20 questions are left out." in page.text


def test_a_file_without_records_has_a_page_that_says_so(tmp_path):
    page = page_of(write_run_folder(tmp_path / "run", [], make_summary(make_records(2))))
    assert browsed(tmp_path / "run") == []
    assert "records.jsonl holds 0 records, summary.json counts 8" in page.text
