// Finding samples: search, filters, sorting, and a list that draws only what is in sight.
import { countValues, decodeTable, filterSamples } from "./logic.mjs";
import { fill, h, press, select } from "./ui.mjs";

const ROW_HEIGHT = 30;
const MAX_CHOICES = 200;
const FACETS = {
  modality: "Modality",
  region: "Region",
  family: "Question family",
  split: "Split",
  length: "Length",
  source: "Source",
  outcome: "Outcome",
  reason: "Reason",
};
const SORTS = {
  "": "as in the data",
  id: "by id",
  source: "by source",
  seconds: "by length",
  modality: "by modality",
  questions: "by questions",
};
const EVERYTHING = { text: "", outcome: "", changed: false, flagged: false, todo: false };
const ANSWERS = ["right", "wrong", "unread", "failed"];

export class Browser {
  /** `onOpen(index)` shows a sample; `having(field)` gives the ids that the rater gave a field. */
  constructor(onOpen, having) {
    this.onOpen = onOpen;
    this.having = having;
    this.columns = { id: [] };
    this.outcomes = [];
    this.texts = null;
    this.query = {
      text: "",
      facets: {},
      outcome: "",
      changed: false,
      flagged: false,
      sort: "",
      descending: false,
    };
    this.order = [];
    this.at = -1;
    this.search = h("input.obv-search", {
      type: "search",
      placeholder: "Search …",
      "aria-label": "Search ids, captions and questions",
      oninput: () => this.change({ text: this.search.value }),
    });
    this.count = h("span.obv-count", { role: "status" });
    this.filters = h("div.obv-filters", { role: "group", "aria-label": "Filters" });
    this.rows = h("div.obv-rows");
    this.list = h(
      "div.obv-list",
      { role: "listbox", "aria-label": "Samples", tabIndex: 0, onscroll: () => this._draw() },
      this.rows,
    );
    this.element = h(
      "nav.obv-browser",
      { "aria-label": "Samples" },
      h("div.obv-bar", {}, this.search, this.count),
      this.filters,
      this.list,
    );
    this.resized = new ResizeObserver(() => this._draw());
    this.resized.observe(this.list);
  }

  /** Take the table: {columns, runs: [{name, column}], total}. */
  load(table) {
    this.columns = decodeTable(table.columns);
    this.runs = table.runs ?? [];
    this.outcomes = this.runs.map((run) => decodeTable({ column: run.column }).column);
    this.total = table.total ?? this.columns.id.length;
    this.indexOf = new Map(this.columns.id.map((id, i) => [id, i]));
    this._drawFilters();
    this.apply();
  }

  takeTexts(texts) {
    this.texts = texts.map((text) => text.toLowerCase());
    this.element.dataset.searchable = "true";
    if (this.query.text) this.apply();
  }

  change(part) {
    Object.assign(this.query, part);
    this.apply();
  }

  setFacet(name, value) {
    this.query.facets[name] = value;
    if (this.choices[name]) this.choices[name].value = value;
    this.apply();
  }

  /** Filter and sort; the sample in view stays, where it is among those found. */
  apply() {
    const current = this.order[this.at];
    this._filter();
    this.at = this.order.indexOf(current);
    this._draw();
    if (this.at < 0 && this.order.length) this.go(0);
    else if (!this.order.length) this.onOpen(-1);
  }

  _filter() {
    const started = performance.now();
    const { texts, outcomes } = this;
    const [flagged, judged] = [this.having("flag"), this.having("verdict")];
    this.order = filterSamples(this.columns, this.query, { texts, outcomes, flagged, judged });
    this.element.dataset.filterMs = (performance.now() - started).toFixed(1);
    const [found, all, total] = [this.order.length, this.columns.id.length, this.total].map((n) =>
      n.toLocaleString("en"),
    );
    const part = all === total ? "" : ` (of ${total}, the others are not in this page)`;
    this.count.textContent = `${found === all ? "" : `${found} of `}${all} samples${part}`;
  }

  go(position) {
    if (!this.order.length) return;
    this.at = Math.min(this.order.length - 1, Math.max(0, position));
    this._reveal();
    this._draw();
    this.onOpen(this.order[this.at]);
  }

  step(by) {
    this.go(this.at + by);
  }

  random() {
    this.go(Math.floor(Math.random() * this.order.length));
  }

  /** Show the sample of that id, dropping filters that hide it; false where there is none. */
  find(id) {
    const index = this.indexOf?.get(id);
    if (index === undefined) return false;
    if (!this.order.includes(index)) {
      this.query = { ...this.query, ...EVERYTHING, facets: {} };
      this.search.value = "";
      this._drawFilters();
      this._filter();
    }
    this.go(this.order.indexOf(index));
    return true;
  }

  has(id) {
    return Boolean(this.indexOf?.has(id));
  }

  /** Draw again which samples are flagged; the list stays as it was filtered. */
  showFlags() {
    this._draw();
  }

  neighbours() {
    return [1, -1, 2]
      .map((by) => this.order[this.at + by])
      .filter((index) => index !== undefined)
      .map((index) => this.columns.id[index]);
  }

  _drawFilters() {
    this.choices = {};
    const facets = Object.entries(FACETS).map(([name, label]) => this._facet(name, label));
    const answers = [["", "Answers: all"], ...ANSWERS.map((name) => [name, name])];
    const order = Object.entries(SORTS).map(([key, text]) => [key, `Sort ${text}`]);
    const descending = this._toggle("↓", "descending");
    descending.setAttribute("aria-label", "Sort in descending order");
    fill(
      this.filters,
      facets,
      this.runs.length
        ? select("Answer", answers, this.query.outcome, (outcome) => this.change({ outcome }))
        : null,
      h(
        "div.obv-together",
        {},
        this.runs.length > 1 ? this._toggle("Changed", "changed") : null,
        this._toggle("☐ To do", "todo"),
        this._toggle("⚑ Flagged", "flagged"),
      ),
      h(
        "div.obv-together",
        {},
        select("Sort", order, this.query.sort, (sort) => this.change({ sort })),
        descending,
      ),
    );
  }

  /** A choice among a column's values; null where there is nothing to choose. */
  _facet(name, label) {
    const counts = countValues(this.columns[name] ?? []);
    if (!counts.length || (counts.length === 1 && counts[0][1] === this.columns.id.length))
      return null;
    const options = [["", `${label}: all`]];
    for (const [value, count] of counts.slice(0, MAX_CHOICES))
      options.push([value, `${value} (${count.toLocaleString("en")})`]);
    const more = counts.length - MAX_CHOICES;
    if (more > 0) options.push(["", `… and ${more.toLocaleString("en")} more: use the search`]);
    this.choices[name] = select(label, options, this.query.facets[name] ?? "", (value) =>
      this.change({ facets: { ...this.query.facets, [name]: value } }),
    );
    return this.choices[name];
  }

  _toggle(text, name) {
    const element = h(
      "button.obv-button",
      {
        type: "button",
        onclick: () => {
          this.change({ [name]: !this.query[name] });
          press(element, this.query[name]);
        },
      },
      text,
    );
    press(element, this.query[name]);
    return element;
  }

  _reveal() {
    const top = this.at * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.list;
    if (top < scrollTop || top + ROW_HEIGHT > scrollTop + clientHeight)
      this.list.scrollTop = top - clientHeight / 2 + ROW_HEIGHT / 2;
  }

  _draw() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW_HEIGHT) - 4);
    const last = Math.min(
      this.order.length,
      first + Math.ceil((this.list.clientHeight || 300) / ROW_HEIGHT) + 8,
    );
    const flagged = this.having("flag");
    const shown = [];
    for (let position = first; position < last; position++)
      shown.push(this._row(position, flagged));
    this.rows.style.height = `${this.order.length * ROW_HEIGHT}px`;
    fill(this.rows, shown);
    const current = this.rows.querySelector("[aria-selected=true]");
    if (current) this.list.setAttribute("aria-activedescendant", current.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  _row(position, flagged) {
    const index = this.order[position];
    const id = this.columns.id[index];
    const dots = this.outcomes.map((column) =>
      h(`i.obv-dot.obv-${column[index] || "none"}`, { title: column[index] || "not asked" }),
    );
    this.prefix ??= `obv-row-${Math.random().toString(36).slice(2)}`;
    const spoken = [
      id,
      ...this.outcomes.map((column, i) => column[index] && `${this.runs[i].name} ${column[index]}`),
      flagged.has(id) && "flagged",
    ]
      .filter(Boolean)
      .join(", ");
    return h(
      "div.obv-rowitem",
      {
        role: "option",
        id: `${this.prefix}-${index}`,
        "aria-selected": String(position === this.at),
        "aria-label": spoken,
        style: `top:${position * ROW_HEIGHT}px`,
        onclick: () => this.go(position),
      },
      dots,
      h("span", {}, id),
      flagged.has(id) ? h("b.obv-flagmark", { title: "flagged" }, "⚑") : null,
      this.columns.outcome?.[index] === "bad row"
        ? h("b.obv-flagmark", { title: this.columns.reason[index] }, "!")
        : null,
    );
  }

  close() {
    this.resized.disconnect();
  }
}
