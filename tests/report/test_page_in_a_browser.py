"""The report in a real headless Chromium: what a reader sees and does."""
import os
import re
import shutil

import pytest
from hostile_run import HOSTILE, write_hostile_folder
from synthetic_run import CELLS, STAGES, make_records, write_run_folder

from report.page import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        # Chromium refuses to start as root, as on a build machine, unless its sandbox is off.
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a file; at the end of the test nothing may have gone wrong in the page or asked for the network."""
    troubles, pages = [], []

    def opened(path, **settings):
        page = browser.new_page(**settings)
        pages.append(page)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
        page.add_init_script(
            "window.violations = [];"
            "document.addEventListener('securitypolicyviolation', (e) => window.violations.push(e.violatedDirective))"
        )
        page.goto(path.as_uri())
        page.wait_for_load_state("load")
        return page

    yield opened
    for page in pages:
        troubles += page.evaluate("window.violations")
        page.close()
    assert troubles == []


@pytest.fixture(scope="module")
def records():
    def change(record):
        if record["question_id"] == "q3" and record["total_budget"] == 0:
            record |= {"error": "answer stage: logits are not finite", "is_correct": None, "confidence": None}

    return make_records(20, 2, change=change)


@pytest.fixture(scope="module")
def report_path(records, tmp_path_factory):
    return write_report(write_run_folder(tmp_path_factory.mktemp("report") / "run", records))


def listed(page):
    """The rows of the list: cells' texts."""
    return page.locator("#rows > tbody > tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


def found(page):
    return page.locator("#found").text_content()


def test_the_first_page_lists_fifty_records_by_question(open_page, report_path):
    page = open_page(report_path)
    rows = listed(page)
    assert len(rows) == 50
    assert [row[0] for row in rows[::8]] == [f"q{number}" for number in range(7)]  # 2 orders x 4 cells a question
    assert [row[2] for row in rows[:4]] == ["0 / no thinking", "100 / 0", "100 / 0.5", "100 / 1"]
    assert found(page) == "Records 1 to 50 of 160."


FILTERS = {
    ("#budget", "100"): lambda record: record["total_budget"] == 100,
    ("#ratio", "0.5"): lambda record: record["answer_thinking_ratio"] == 0.5,
    ("#ratio", "null"): lambda record: record["answer_thinking_ratio"] is None,
    ("#ratio", "0"): lambda record: record["answer_thinking_ratio"] == 0,
    ("#category", "1"): lambda record: record["category"] == "kind 1",
    ("#outcome", "right"): lambda record: record["error"] is None and record["is_correct"],
    ("#outcome", "wrong"): lambda record: record["error"] is None and not record["is_correct"],
    ("#outcome", "unscored"): lambda record: record["error"] is not None,
    ("#answer-stopped", "natural"): lambda record: record["answer_stopped"] == "natural",
    ("#answer-stopped", "capped"): lambda record: record["answer_stopped"] == "capped",
    ("#confidence-stopped", "none"): lambda record: record["confidence_stopped"] == "none",
}


def test_each_filter_shows_the_records_it_names(open_page, report_path, records):
    page = open_page(report_path)
    for (control, value), fits in FILTERS.items():
        page.select_option(control, value)
        expected = sum(map(bool, map(fits, records)))
        assert expected > 0
        assert found(page) == f"Records 1 to {min(50, expected)} of {expected}."
        assert len(listed(page)) == min(50, expected)
        page.click("#show-all")
    assert found(page) == "Records 1 to 50 of 160."


def test_filters_add_up_and_may_leave_nothing(open_page, report_path, records):
    page = open_page(report_path)
    page.select_option("#budget", "100")
    page.select_option("#ratio", "1")
    page.fill("#text", "NUMBER 7 of")
    assert [(row[0], row[2], row[3]) for row in listed(page)] == [("q7", "100 / 1", "0"), ("q7", "100 / 1", "1")]
    page.fill("#text", "q19")
    assert {row[0] for row in listed(page)} == {"q19"}
    page.fill("#text", "nowhere in any question")
    assert listed(page) == []
    assert found(page) == "No record passes these filters."


def test_records_are_sorted_by_confidence_both_ways_with_missing_ones_last(open_page, report_path, records):
    page = open_page(report_path)
    known = sorted(record["confidence"] for record in records if record["confidence"] is not None)
    for order, expected in (("highest", known[::-1]), ("lowest", known)):
        page.select_option("#order", order)
        shown = []
        for _ in range(4):
            shown += [row[5] for row in listed(page)]
            page.click("#pager-above .next", timeout=2000) if len(shown) < 160 else None
        assert shown == [f"{confidence:.2f}" for confidence in expected] + ["–"] * 2
    page.select_option("#order", "question")
    assert listed(page)[0][0] == "q0"


def test_pages_hold_every_record_once(open_page, report_path, records):
    page = open_page(report_path)
    seen = []
    while True:
        seen += [tuple(row[place] for place in (0, 2, 3)) for row in listed(page)]
        if page.is_disabled("#pager-below .next"):
            break
        page.click("#pager-below .next")
    assert len(seen) == len(set(seen)) == len(records)
    assert found(page) == "Records 151 to 160 of 160."
    page.fill("#pager-above input", "2")
    page.press("#pager-above input", "Enter")
    assert found(page) == "Records 51 to 100 of 160."
    page.fill("#pager-above input", "99")
    page.press("#pager-above input", "Enter")
    assert found(page) == "Records 151 to 160 of 160."
    page.click("#pager-above .previous")
    assert found(page) == "Records 101 to 150 of 160."


def test_an_opened_record_shows_all_of_it_and_closes_again(open_page, report_path, records):
    page = open_page(report_path)
    for place, record in enumerate(records[:8]):
        button = page.locator("#rows .open").nth(place)
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"
        shown = page.locator(".record").text_content()
        for text in (record["question"], *record["options"], f"{record['p_true']:.4f}"):
            assert text in shown
        for probability in record["answer_probabilities"]:
            assert f"{probability:.4f}" in shown
        thoughts = page.locator(".record .thought").all_text_contents()
        assert thoughts == [record[f"{stage}_thinking"] for stage in STAGES if record[f"{stage}_thinking"]]
        marked = page.locator(".record .probabilities").first.locator("li").all_text_contents()
        assert [n for n, text in enumerate(marked) if "correct" in text] == [record["correct_option"]]
        assert [n for n, text in enumerate(marked) if "chosen" in text] == [record["predicted_option"]]
        page.keyboard.press("Enter")
        assert page.locator(".record").count() == 0
        assert button.get_attribute("aria-expanded") == "false"


def test_an_error_is_shown_with_its_record(open_page, report_path):
    page = open_page(report_path)
    page.select_option("#outcome", "unscored")
    page.click("#rows .open >> nth=0")
    assert "logits are not finite" in page.locator(".record .notice").text_content()


def test_hostile_texts_stay_texts(open_page, tmp_path):
    records = write_hostile_folder(tmp_path / "run")
    page = open_page(write_report(tmp_path / "run"))
    in_lists = {option for option in page.locator("#category option").all_text_contents() if option != "all"}
    assert len(in_lists) == len({record["category"] for record in records})
    n_images = page.locator("img").count()
    open_or_close_all = "document.querySelectorAll('#rows .open').forEach(button => button.click())"
    page.evaluate(open_or_close_all)
    assert page.locator(".record").count() == len(records)
    thoughts = set(page.locator(".record .thought").all_text_contents())
    page.evaluate(open_or_close_all)
    assert page.locator(".record").count() == 0
    expected = {record[f"{stage}_thinking"] for record in records for stage in STAGES}
    # Half a surrogate pair does not cross the wire between browser and test; the other characters do.
    assert {re.sub("[\ud800\ufffd]", "", text) for text in thoughts} == {
        re.sub("[\ud800\ufffd]", "", text) for text in expected
    }
    assert page.evaluate("window.planted") is None
    assert page.locator("img").count() == n_images
    assert page.locator("script:not([type])").count() == 1
    page.fill("#text", HOSTILE[0])
    assert len(listed(page)) == len(CELLS)


def test_planted_code_would_be_stopped_by_the_policy_too(browser, report_path, tmp_path):
    text = report_path.read_text(encoding="utf-8")
    planted = '<script>window.planted = true</script><img src="x" onerror="window.planted = true">'
    path = tmp_path / "planted.html"
    path.write_text(text.replace("</body>", f"{planted}</body>"), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("window.planted") is None
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(open_page, report_path, scheme):
    page = open_page(report_path, color_scheme=scheme)
    colours = page.evaluate(
        """() => { const style = getComputedStyle(document.documentElement);
        return Object.fromEntries(['page', 'panel', 'notice', 'text', 'quiet', 'accent', 'correct', 'wrong', 'edge']
          .map(name => [name, style.getPropertyValue('--' + name).trim()])) }"""
    )
    for ink in ("text", "quiet", "accent", "correct", "wrong"):
        for ground in ("page", "panel", "notice"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["edge"], colours["page"]) >= 3


def contrast(one, other):
    """WCAG 2 contrast ratio of two colours `#rrggbb`."""
    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_a_narrow_window_scrolls_tables_not_the_page(open_page, report_path):
    page = open_page(report_path, viewport={"width": 390, "height": 800})
    page.locator("#rows .open").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
