"use strict";
// The record browser. Texts of records enter the page only as text, never as HTML.
(() => {
  const PAGE_SIZE = 50; // rows per page
  const CLIP = 160; // characters of a question or id in the list; the opened row shows all
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const STAGES = ["answer", "confidence"];
  const OUTCOMES = ["wrong", "right", "unscored"]; // in the order of the numbers in the index
  const STOPPED = ["natural", "capped", "none", null];
  const titles = JSON.parse(byId("confidence-titles").textContent);
  const index = JSON.parse(byId("record-index").textContent);
  const { records, units } = index;
  const count = records.cell.length;

  const unitOf = new Uint32Array(count); // record -> its unit (question and permutation)
  const firstRecord = new Uint32Array(units.n_records.length); // unit -> its first record
  const chunkOf = new Uint32Array(units.n_records.length); // unit -> chunk that holds its texts
  const firstUnit = []; // chunk -> its first unit
  numberUnitsAndChunks();

  const controls = {
    budget: byId("budget"), ratio: byId("ratio"), category: byId("category"), outcome: byId("outcome"),
    answerStopped: byId("answer-stopped"), confidenceStopped: byId("confidence-stopped"), text: byId("text"),
    cell: byId("cell"), order: byId("order"),
  };
  const body = byId("rows").tBodies[0];
  const passes = new Uint8Array(count); // whether a record passes the filters
  let found = []; // units of which a record does, in the chosen order
  let page = 0;
  let lowered = null; // ids and questions in lower case, made at the first search for text
  let parsed = { number: -1, units: [] }; // the last chunk that was parsed

  fillControls();
  for (const control of Object.values(controls)) control.addEventListener("input", search);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("show-all").addEventListener("click", () => { byId("filters").reset(); search(); });
  for (const pager of document.querySelectorAll(".pager")) {
    pager.querySelector(".previous").addEventListener("click", () => turn(page - 1, pager));
    pager.querySelector(".next").addEventListener("click", () => turn(page + 1, pager));
    pager.querySelector("input").addEventListener("change", (event) => turn(Number(event.target.value) - 1, pager));
  }
  search();

  function byId(id) {
    return document.getElementById(id);
  }

  function numberUnitsAndChunks() {
    let record = 0;
    units.n_records.forEach((size, unit) => {
      firstRecord[unit] = record;
      unitOf.fill(unit, record, record + size);
      record += size;
    });
    let unit = 0;
    index.chunk_sizes.forEach((size, chunk) => {
      firstUnit.push(unit);
      chunkOf.fill(chunk, unit, unit + size);
      unit += size;
    });
  }

  function fillControls() {
    const distinct = (values) => [...new Set(values)];
    const budgets = distinct(index.cells.map((cell) => cell.total_budget));
    const ratios = distinct(index.cells.map((cell) => cell.answer_thinking_ratio));
    ratios.sort((one, other) => (one ?? -1) - (other ?? -1));
    for (const budget of budgets) controls.budget.append(new Option(`${budget} tokens`, budget));
    for (const ratio of ratios) controls.ratio.append(new Option(ratio ?? "no thinking", String(ratio)));
    index.categories.forEach((name, place) => controls.category.append(new Option(clip(name ?? "no category"), place)));
    index.cells.forEach((cell, place) => controls.cell.append(new Option(cellName(cell), place)));
    const last = controls.cell.options[controls.cell.options.length - 1];
    if (last) last.defaultSelected = true; // of the largest budget
  }

  // --- finding -------------------------------------------------------------------------------------------------

  function search() {
    const allowed = {
      cell: index.cells.map((cell) =>
        ["", String(cell.total_budget)].includes(controls.budget.value)
        && ["", String(cell.answer_thinking_ratio)].includes(controls.ratio.value)),
      outcome: OUTCOMES.map((name) => ["", name].includes(controls.outcome.value)),
      answer_stopped: STOPPED.map((name) => ["", name].includes(controls.answerStopped.value)),
      confidence_stopped: STOPPED.map((name) => ["", name].includes(controls.confidenceStopped.value)),
    };
    const fields = Object.keys(allowed);
    const category = controls.category.value;
    const questions = questionsWith(controls.text.value.trim().toLowerCase());
    found = [];
    for (let record = 0; record < count; record += 1) {
      const unit = unitOf[record];
      passes[record] = Number(fields.every((field) => allowed[field][records[field][record]])
        && (category === "" || units.category[unit] === Number(category))
        && questions[units.question[unit]]);
      if (passes[record] && found[found.length - 1] !== unit) found.push(unit);
    }
    // The index is sorted by question already. Units without a confidence come last in both directions.
    const direction = { highest: -1, lowest: 1 }[controls.order.value];
    if (direction) found.sort((one, other) => compare(confidenceOf(one), confidenceOf(other), direction));
    page = 0;
    show();
  }

  function compare(one, other, direction) {
    if (one === null || other === null) return (one === null) - (other === null);
    return direction * (one - other);
  }

  function confidenceOf(unit) {
    return records.confidence[recordOfCell(unit)] ?? null;
  }

  // The unit's record in the cell whose numbers are shown; undefined if it has none.
  function recordOfCell(unit) {
    return recordsOf(unit).find((record) => records.cell[record] === Number(controls.cell.value));
  }

  function recordsOf(unit) {
    return Array.from({ length: units.n_records[unit] }, (_, place) => firstRecord[unit] + place);
  }

  function questionsWith(text) {
    if (text === "") return index.questions.map(() => true);
    lowered ??= index.questions.map(([id, question]) => `${id}\n${question}`.toLowerCase());
    return lowered.map((question) => question.includes(text));
  }

  // --- the list ------------------------------------------------------------------------------------------------

  function turn(wanted, pager) {
    const last = Math.max(0, Math.ceil(found.length / PAGE_SIZE) - 1);
    page = Math.min(Math.max(Math.trunc(wanted) || 0, 0), last);
    show();
    if (pager.id === "pager-below") byId("records").scrollIntoView();
  }

  function show() {
    const first = page * PAGE_SIZE;
    const shown = found.slice(first, first + PAGE_SIZE);
    body.replaceChildren(...shown.map(row));
    const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
    const passing = passes.reduce((sum, one) => sum + one, 0);
    byId("found").textContent = found.length === 0
      ? "No record passes these filters."
      : `Rows ${whole(first + 1)} to ${whole(first + shown.length)} of ${whole(found.length)}; `
        + `${whole(passing)} of ${whole(count)} records pass the filters.`;
    for (const pager of document.querySelectorAll(".pager")) {
      pager.querySelector(".previous").disabled = page === 0;
      pager.querySelector(".next").disabled = page >= pages - 1;
      const input = pager.querySelector("input");
      input.max = pages;
      input.value = page + 1;
      pager.querySelector(".pages").textContent = `of ${whole(pages)}`;
    }
  }

  function row(unit) {
    const [id, question] = index.questions[units.question[unit]];
    const opener = element("button", { type: "button", className: "open", ariaExpanded: "false" }, bdi(clip(id)));
    const chips = recordsOf(unit).map(chip);
    const line = element("tr", {},
      element("th", { scope: "row", className: "question" }, opener, element("span", {}, clip(question))),
      element("td", { className: "number" }, unitName(unit)),
      element("td", { className: "chips" }, ...withBudgets(unit, chips)),
      ...numbersOf(unit, recordOfCell(unit)).map((value) => element("td", { className: "number" }, value)));
    const chosen = []; // records that are open, at most two
    opener.addEventListener("click", () => choose(chosen.length ? [] : [firstToOpen(unit)]));
    chips.forEach((button, place) => button.addEventListener("click", () => {
      const record = firstRecord[unit] + place;
      choose(chosen.includes(record) ? chosen.filter((one) => one !== record) : [...chosen.slice(-1), record]);
    }));

    function choose(wanted) {
      if (chosen.length) line.nextElementSibling.remove();
      chosen.splice(0, 2, ...wanted);
      opener.ariaExpanded = String(chosen.length > 0);
      chips.forEach((button, place) => { button.ariaPressed = String(chosen.includes(firstRecord[unit] + place)); });
      if (chosen.length) open(line, unit, [...chosen].sort((one, other) => one - other));
    }

    return line;
  }

  function firstToOpen(unit) {
    const shown = recordOfCell(unit);
    return shown !== undefined && passes[shown] ? shown : recordsOf(unit).find((record) => passes[record]);
  }

  function chip(record) {
    const cell = index.cells[records.cell[record]];
    const [kind, sign] = [["wrong", "✗"], ["right", "✓"], ["unscored", "?"]][records.outcome[record]];
    const dimmed = passes[record] ? "" : " dimmed";
    const meaning = `Budget / ratio ${cellName(cell)}: ${{ wrong: "wrong", right: "correct", unscored: "not scored" }[kind]}, `
      + `confidence ${number(records.confidence[record], 2)}${dimmed ? ", does not pass the filters" : ""}`;
    return element("button", { type: "button", className: `chip ${kind}${dimmed}`, title: meaning, ariaLabel: meaning,
      ariaPressed: "false" }, `${sign} ${cell.answer_thinking_ratio ?? "none"}`);
  }

  // The chips of a unit, those of one budget behind its number.
  function withBudgets(unit, chips) {
    const lines = new Map();
    chips.forEach((button, place) => {
      const budget = index.cells[records.cell[firstRecord[unit] + place]].total_budget;
      if (!lines.has(budget)) lines.set(budget, element("div", {}, element("small", {}, String(budget))));
      lines.get(budget).append(button);
    });
    return lines.values();
  }

  // Of one record: letter chosen and right letter, confidence, P(True), answer probability.
  function numbersOf(unit, record) {
    if (record === undefined) return ["–", "–", "–", "–"];
    const chosen = records.predicted_option[record];
    return [`${chosen === null ? "–" : letter(chosen)} (${letter(units.correct_option[unit])})`,
      number(records.confidence[record], 2), number(records.p_true[record], 4), number(records.answer_probability[record], 4)];
  }

  function unitName(unit) {
    const thought = units.thought[unit];
    return `${units.permutation[unit]}${thought > 0 ? `, thought ${thought}` : ""}`;
  }

  function open(line, unit, chosen) {
    const cell = element("td", { colSpan: line.cells.length });
    line.after(element("tr", {}, cell));
    withUnit(unit, cell, (texts) => cell.replaceChildren(opened(unit, chosen, texts)));
  }

  // Calls `use` with the texts of a unit. While the page loads, the block of its chunk may be missing or incomplete.
  function withUnit(unit, waiting, use) {
    const chunk = chunkOf[unit];
    const block = byId(`record-texts-${chunk}`);
    if (document.readyState === "loading" && !block?.nextElementSibling) {
      waiting.textContent = "The page is still loading …";
      document.addEventListener("DOMContentLoaded", () => withUnit(unit, waiting, use), { once: true });
      return;
    }
    if (parsed.number !== chunk) parsed = { number: chunk, units: JSON.parse(block.textContent) };
    use(parsed.units[unit - firstUnit[chunk]]);
  }

  // --- an opened row -------------------------------------------------------------------------------------------

  function opened(unit, chosen, texts) {
    const [id, question] = index.questions[units.question[unit]];
    const category = index.categories[units.category[unit]];
    return element("div", { className: "record" },
      element("h3", {}, "Question ", bdi(id)),
      element("p", { className: "quiet" }, `Permutation ${unitName(unit)}, category `, bdi(category ?? "–"), "."),
      scrolling("Question", question),
      element("div", { className: "beside" }, ...chosen.map((record) => ofCell(unit, record, texts))),
      element("h4", {}, "All cells of this row"), cellTable(unit));
  }

  function ofCell(unit, record, { shown, thoughts }) {
    const values = shown.records[record - firstRecord[unit]];
    const fields = Object.fromEntries(index.fields.map((name, place) => [name, values[place]]));
    const cell = index.cells[records.cell[record]];
    return element("div", { className: "cell" },
      element("h4", {}, `Budget / ratio ${cellName(cell)}: `, outcome(records.outcome[record])),
      ...(fields.error === null ? [] : [element("p", { className: "notice text" }, "Error: ", bdi(fields.error))]),
      element("h4", {}, "Options with their answer probabilities"),
      optionList(shown, fields),
      element("h4", {}, "Confidence that the answer is correct, 0 to 1"),
      confidenceList(fields),
      element("div", { className: "thoughts" },
        ...STAGES.map((stage) => thought(stage, cell[`${stage}_budget`], fields, thoughts))),
      element("h4", {}, "Tokens"), scrollingTable("Tokens", tokenTable(fields)));
  }

  function cellTable(unit) {
    const heads = ["Budget / ratio", "Outcome", "Answer", "Confidence", "P(True)", "Answer probability",
      "Answer thought", "Confidence thought"];
    const table = element("table", {},
      element("thead", {}, element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...recordsOf(unit).map((record) => element("tr", {},
        element("th", { scope: "row" }, cellName(index.cells[records.cell[record]])),
        element("td", {}, outcome(records.outcome[record])),
        ...numbersOf(unit, record).map((value) => element("td", { className: "number" }, value)),
        ...STAGES.map((stage) => element("td", {}, STOPPED[records[`${stage}_stopped`][record]] ?? "–"))))));
    return scrollingTable("All cells of this row", table);
  }

  function scrollingTable(label, table) {
    return element("div", { className: "scroll", role: "region", ariaLabel: label, tabIndex: 0 }, table);
  }

  function optionList(shown, fields) {
    return element("ol", { className: "probabilities" }, ...shown.options.map((option, place) => {
      const marks = [
        ...(place === shown.correct_option ? [element("span", { className: "correct" }, "✓ correct")] : []),
        ...(place === fields.predicted_option ? [element("strong", {}, " ● chosen")] : []),
      ];
      return probability(`${letter(place)})`, text(option), fields.answer_probabilities?.[place], 4, marks);
    }));
  }

  function confidenceList(fields) {
    const mass = { confidence: "confidence", p_true: "p_true", answer_probability: "answer" };
    return element("ul", { className: "probabilities" }, ...Object.entries(titles).map(([name, title]) => probability(
      "", title, fields[name], name === "confidence" ? 2 : 4,
      mass[name] ? [element("span", { className: "quiet" },
        `read-out mass ${number(fields[`${mass[name]}_readout_mass`], 4)}`)] : [])));
  }

  function probability(label, name, value, digits, marks) {
    const filled = element("span", {});
    filled.style.width = `${100 * (typeof value === "number" ? Math.min(Math.max(value, 0), 1) : 0)}%`;
    return element("li", {}, element("span", {}, label), element("span", {}, name),
      element("span", { className: "bar", ariaHidden: "true" }, filled),
      element("span", { className: "value" }, number(value, digits)), element("span", { className: "mark" }, ...marks));
  }

  function thought(stage, cap, fields, thoughts) {
    const title = stage === "answer" ? "Answer stage" : "Confidence stage";
    const stopped = { natural: "natural end", capped: "stopped by the cap", none: "no thinking" }[fields[`${stage}_stopped`]];
    const used = `${whole(fields[`${stage}_thinking_tokens`])} of at most ${whole(cap)} thinking tokens, ${stopped ?? "end not known"}`;
    const place = fields[`${stage}_thinking`];
    const content = place === null ? element("p", { className: "quiet" }, "This record has no thought of this stage.")
      : place[1] === 0 ? element("p", { className: "quiet" }, "The thought is empty.")
      : scrolling(`Thought of the ${stage} stage`, thoughts[place[0]].slice(0, place[1]), "thought");
    return element("div", {}, element("h4", {}, title), element("p", { className: "quiet" }, `${used}.`), content);
  }

  function tokenTable(fields) {
    const columns = { prompt: "prompt", thinking: "thinking", injected: "tags and closing", readout: "read-outs" };
    return element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "stage"),
        ...Object.values(columns).map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...STAGES.map((stage) => element("tr", {}, element("th", { scope: "row" }, stage),
        ...Object.keys(columns).map((name) => element("td", { className: "number" }, whole(fields[`${stage}_${name}_tokens`])))))));
  }

  // --- small parts ---------------------------------------------------------------------------------------------

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function text(content) {
    return element("span", { className: "text" }, String(content));
  }

  function letter(place) {
    return LETTERS[place] ?? String(place + 1);
  }

  // Marks of writing direction in a text must not reorder the text beside it.
  function bdi(content) {
    return element("bdi", {}, String(content));
  }

  function scrolling(label, content, kind = "") {
    const region = element("div", { className: `text ${kind}`, tabIndex: 0, role: "region", ariaLabel: label });
    region.textContent = String(content);
    return region;
  }

  function outcome(code) {
    if (code === 1) return element("span", { className: "correct" }, "✓ correct");
    if (code === 0) return element("span", { className: "wrong" }, "✗ wrong");
    return element("span", {}, "not scored");
  }

  function cellName(cell) {
    return `${cell.total_budget} / ${cell.answer_thinking_ratio ?? "no thinking"}`;
  }

  function clip(content) {
    return content.length > CLIP ? `${content.slice(0, CLIP)} …` : content;
  }

  function number(value, digits) {
    return typeof value === "number" ? value.toFixed(digits) : "–";
  }

  function whole(value) {
    return typeof value === "number" ? value.toLocaleString("en") : "–";
  }
})();
