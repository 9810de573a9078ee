"""The report in a real headless Chromium: what a reader sees and does."""
import os
import re
import shutil

import pytest
from hostile_run import HOSTILE, write_hostile_folder
from synthetic_run import CELLS, STAGES, make_records, png, write_run_folder

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
    """The rows of the list: id, permutation, names and looks of the chips, numbers of the cell chosen."""
    return page.locator("#rows > tbody > tr").evaluate_all(
        """rows => rows.map(row => ({
          id: row.querySelector('.open').textContent, permutation: row.cells[1].textContent,
          chips: [...row.querySelectorAll('.chip')].map(chip => chip.title),
          bright: [...row.querySelectorAll('.chip:not(.dimmed)')].map(chip => chip.title),
          numbers: [...row.cells].slice(3).map(cell => cell.textContent) }))"""
    )


def found(page):
    return page.locator("#found").text_content()


def test_a_row_is_a_question_in_one_order_with_a_chip_per_cell(open_page, report_path, records):
    page = open_page(report_path)
    rows = listed(page)
    assert [(row["id"], row["permutation"]) for row in rows] == [(f"q{i}", str(j)) for i in range(20) for j in range(2)]
    assert found(page) == "Rows 1 to 40 of 40; 160 of 160 records pass the filters."
    for number, row in enumerate(rows):
        of_row = records[4 * number : 4 * number + 4]
        expected = []
        for record in of_row:
            ratio = record["answer_thinking_ratio"]
            cell = f"{record['total_budget']} / {'no thinking' if ratio is None else f'{ratio:g}'}"
            said = {True: "correct", False: "wrong", None: "not scored"}[record["is_correct"]]
            confidence = "–" if record["confidence"] is None else f"{record['confidence']:.2f}"
            expected.append(f"Budget / ratio {cell}: {said}, confidence {confidence}")
        assert row["chips"] == row["bright"] == expected
        last = of_row[-1]  # the cell that is chosen at first
        letters = "ABCD"[last["predicted_option"]], "ABCD"[last["correct_option"]]
        assert row["numbers"] == [
            "{} ({})".format(*letters), *(f"{last[name]:.{digits}f}" for name, digits in
            (("confidence", 2), ("p_true", 4), ("answer_probability", 4)))
        ]  # fmt: skip
    page.select_option("#cell", "0")
    assert listed(page)[6]["numbers"][1] == "–"  # q3 without thinking has an error


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


def test_each_filter_shows_the_rows_it_names_and_dims_the_other_chips(open_page, report_path, records):
    page = open_page(report_path)
    for (control, value), fits in FILTERS.items():
        page.select_option(control, value)
        passing = [record for record in records if fits(record)]
        n_rows = len({(record["question_id"], record["permutation"]) for record in passing})
        assert n_rows > 0
        assert found(page) == f"Rows 1 to {n_rows} of {n_rows}; {len(passing)} of 160 records pass the filters."
        rows = listed(page)
        assert len(rows) == n_rows and all(len(row["chips"]) == 4 for row in rows)
        assert sum(len(row["bright"]) for row in rows) == len(passing)
        page.click("#show-all")
    assert found(page) == "Rows 1 to 40 of 40; 160 of 160 records pass the filters."


def test_filters_add_up_and_may_leave_nothing(open_page, report_path, records):
    page = open_page(report_path)
    page.select_option("#budget", "100")
    page.select_option("#ratio", "1")
    page.fill("#text", "NUMBER 7 of")
    rows = listed(page)
    assert [(row["id"], row["permutation"], len(row["bright"])) for row in rows] == [("q7", "0", 1), ("q7", "1", 1)]
    assert all(row["bright"][0].startswith("Budget / ratio 100 / 1:") for row in rows)
    page.fill("#text", "q19")
    assert {row["id"] for row in listed(page)} == {"q19"}
    page.fill("#text", "nowhere in any question")
    assert listed(page) == []
    assert found(page) == "No record passes these filters."


def test_rows_are_sorted_by_the_confidence_of_the_cell_chosen_with_missing_ones_last(open_page, report_path, records):
    page = open_page(report_path)
    page.select_option("#cell", "0")
    of_cell = [record["confidence"] for record in records if record["total_budget"] == 0]
    known = sorted(confidence for confidence in of_cell if confidence is not None)
    for order, expected in (("highest", known[::-1]), ("lowest", known)):
        page.select_option("#order", order)
        shown = [row["numbers"][1] for row in listed(page)]
        assert shown == [f"{confidence:.2f}" for confidence in expected] + ["–"] * 2
    page.select_option("#order", "question")
    assert listed(page)[0]["id"] == "q0"


def test_pages_hold_every_row_once(open_page, tmp_path):
    page = open_page(write_report(write_run_folder(tmp_path / "run", make_records(65, 2, cells=CELLS[:2]))))
    seen = []
    while True:
        seen += [(row["id"], row["permutation"]) for row in listed(page)]
        if page.is_disabled("#pager-below .next"):
            break
        page.click("#pager-below .next")
    assert len(seen) == len(set(seen)) == 130
    assert found(page).startswith("Rows 101 to 130 of 130;")
    page.fill("#pager-above input", "2")
    page.press("#pager-above input", "Enter")
    assert found(page).startswith("Rows 51 to 100 of 130;")
    page.fill("#pager-above input", "99")
    page.press("#pager-above input", "Enter")
    assert found(page).startswith("Rows 101 to 130 of 130;")
    page.click("#pager-above .previous")
    assert found(page).startswith("Rows 51 to 100 of 130;")


def test_an_opened_record_shows_all_of_it_and_closes_again(open_page, report_path, records):
    page = open_page(report_path)
    for place, record in enumerate(records[:8]):
        chip = page.locator("#rows .chip").nth(place)
        chip.focus()
        page.keyboard.press("Enter")
        assert chip.get_attribute("aria-pressed") == "true"
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
        assert page.locator(".record tbody").last.locator("tr").count() == 4  # all cells of the row
        page.keyboard.press("Enter")
        assert page.locator(".record").count() == 0
        assert chip.get_attribute("aria-pressed") == "false"


def test_a_row_opens_with_the_cell_chosen_and_two_chips_stand_side_by_side(open_page, report_path, records):
    page = open_page(report_path, viewport={"width": 1280, "height": 900})
    row = page.locator("#rows > tbody > tr").first
    opener, chips = row.locator(".open"), row.locator(".chip")
    opener.click()
    assert opener.get_attribute("aria-expanded") == "true"
    heads = page.locator(".record .cell > h4:first-child")
    assert [head.partition(":")[0] for head in heads.all_text_contents()] == ["Budget / ratio 100 / 1"]
    chips.nth(2).click()
    assert [head.partition(":")[0] for head in heads.all_text_contents()] == [
        "Budget / ratio 100 / 0.5", "Budget / ratio 100 / 1",
    ]  # fmt: skip
    left, right = (page.locator(".record .cell").nth(number).bounding_box() for number in (0, 1))
    assert left["y"] == right["y"] and left["x"] + left["width"] < right["x"]
    thoughts = page.locator(".record .thought").all_text_contents()
    both = [record[f"{stage}_thinking"] for record in records[2:4] for stage in STAGES]
    assert thoughts == [text for text in both if text]
    chips.nth(1).click()  # a third takes the place of the one chosen first
    assert [chip.get_attribute("aria-pressed") for chip in chips.all()] == ["false", "true", "true", "false"]
    opener.click()
    assert page.locator(".record").count() == 0
    assert opener.get_attribute("aria-expanded") == "false"


def test_several_thoughts_of_a_question_are_rows_of_their_own(open_page, tmp_path):
    records = [record | {"thought": thought} for thought in (0, 1) for record in make_records(2)]
    page = open_page(write_report(write_run_folder(tmp_path / "run", records)))
    rows = listed(page)
    assert [(row["id"], row["permutation"]) for row in rows] == [
        ("q0", "0"), ("q0", "0, thought 1"), ("q1", "0"), ("q1", "0, thought 1"),
    ]  # fmt: skip
    assert all(len(row["chips"]) == 4 for row in rows)


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
    thoughts = set()
    for cell in range(len(CELLS)):
        page.select_option("#cell", str(cell))
        page.evaluate(open_or_close_all)
        assert page.locator(".record").count() == len(records) // len(CELLS)
        thoughts |= set(page.locator(".record .thought").all_text_contents())
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
    assert len(listed(page)) == 1


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


@pytest.mark.parametrize("width", [390, 1280])
def test_no_window_scrolls_sideways_tables_do_with_their_first_column_in_sight(open_page, report_path, width):
    page = open_page(report_path, viewport={"width": width, "height": 800})
    page.locator("#rows .open").first.click()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    places = page.locator("#results ~ .scroll").first.evaluate(
        """region => { region.scrollLeft = 200;
        const left = (element) => element.getBoundingClientRect().left;
        return { scrolled: region.scrollLeft, region: left(region), head: left(region.querySelector('tbody th')),
          caption: region.querySelector('caption span').getBoundingClientRect() } }"""
    )
    assert places["scrolled"] > 0 or width == 1280
    assert places["head"] == places["region"]
    assert places["caption"]["left"] >= 0 and places["caption"]["right"] <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_the_contents_stay_in_sight_and_cover_no_heading(open_page, report_path, width):
    page = open_page(report_path, viewport={"width": width, "height": 800})
    page.click(".contents a[href='#diagnostics']")
    page.wait_for_function("window.scrollY > 500")
    contents, heading = page.locator(".contents").bounding_box(), page.locator("#diagnostics").bounding_box()
    assert 0 <= contents["y"] < 40
    assert contents["y"] + contents["height"] <= heading["y"] or contents["x"] + contents["width"] <= heading["x"]


def test_a_figure_opens_at_full_size_and_escape_closes_it(open_page, tmp_path):
    folder = write_run_folder(tmp_path / "run", make_records(3))
    (folder / "figures" / "saturation.png").write_bytes(png(1400, 600))
    path = write_report(folder)
    assert path.read_text(encoding="utf-8").count("data:image/png;base64,") == 1
    page = open_page(path, viewport={"width": 390, "height": 800})
    dialog, button = page.locator("#enlarged"), page.locator(".enlarge")
    assert not dialog.is_visible()
    button.focus()
    page.keyboard.press("Enter")
    assert dialog.is_visible()
    assert dialog.locator("img").bounding_box()["width"] == 1400
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.className") == "enlarge"
    button.click()
    dialog.locator("button").click()
    assert not dialog.is_visible()
