// What is known about a sample, beside its frames: questions, tokens, time line, lineage.
import { formatTime, tokenPieces, tokenPlace } from "./logic.mjs";
import { fill, h, press, s } from "./ui.mjs";

const KIND_NAMES = ["text", "special", "visual", "learned"];
const WORD_SCALE = 150; // px of time line a second where words are to be read
const MAX_CHIPS = 4000;

const OUTCOMES = { right: "✓ right", wrong: "✗ wrong", unread: "? not read", failed: "! failed", answered: "answered" };

export function badge(outcome) {
  return h(`span.obv-badge.obv-${outcome}`, {}, OUTCOMES[outcome] ?? outcome);
}

/** Tabs: {name: element}. Arrow keys move between them, as readers aloud expect. */
export function tabs(label, panels, onOpen = () => {}) {
  const names = Object.keys(panels);
  const list = h("div.obv-tabs", { role: "tablist", "aria-label": label });
  const prefix = `obv-tab-${Math.random().toString(36).slice(2)}`;
  const open = (name) => {
    names.forEach((other, i) => {
      list.children[i].setAttribute("aria-selected", String(other === name));
      list.children[i].tabIndex = other === name ? 0 : -1;
      panels[other].hidden = other !== name;
    });
    onOpen(name);
  };
  names.forEach((name, i) => {
    const tab = h("button", { type: "button", role: "tab", id: `${prefix}-${i}`, "aria-controls": `${prefix}-panel-${i}`, onclick: () => open(name) }, name);
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.stopPropagation();
      const next = (i + step + names.length) % names.length;
      list.children[next].focus();
      open(names[next]);
    });
    list.append(tab);
    Object.entries({ role: "tabpanel", id: `${prefix}-panel-${i}`, "aria-labelledby": `${prefix}-${i}` }).forEach(([key, value]) => panels[name].setAttribute(key, value));
    panels[name].tabIndex = 0;
  });
  const element = h("div.obv-tabbed", {}, list, Object.values(panels));
  open(names[0]);
  return { element, open };
}

/** A sample's caption, questions, and what every run answered. */
export function questionsPanel(detail) {
  const { facts } = detail;
  const parts = [];
  if (facts.caption) parts.push(h("h4", {}, "Caption"), h("p.obv-text", {}, facts.caption));
  if (facts.transcript && facts.transcript !== facts.caption) parts.push(h("h4", {}, "What was said"), h("p.obv-text", {}, facts.transcript));
  detail.questions.forEach((question, number) => parts.push(questionCard(question, number)));
  if (!parts.length) parts.push(h("p.obv-empty", {}, "This sample has no caption and no question."));
  return parts;
}

function questionCard(question, number) {
  const options = Object.entries(question.options).map(([letter, text]) => {
    const isGold = letter === question.answer;
    const chosen = question.answers.filter((answer) => answer.choice === letter).map((answer) => answer.run);
    return h(
      `li${isGold ? ".obv-gold" : ""}`,
      {},
      h("b", {}, letter),
      h("span", {}, text),
      isGold ? h("span.obv-tag", {}, "gold") : null,
      chosen.map((run) => h("span.obv-tag.obv-run", {}, run)),
    );
  });
  return h(
    "article.obv-question",
    {},
    h("h4", {}, `${number + 1}. ${question.question}`, question.family ? h("span.obv-tag", {}, question.family) : null),
    options.length ? h("ul.obv-options", {}, options) : h("p.obv-text", {}, h("span.obv-tag", {}, "gold"), ` ${question.answer || "no gold answer"}`),
    question.answers.length ? h("div.obv-answers", {}, question.answers.map(answerCard)) : null,
  );
}

function answerCard(answer) {
  const extras = Object.entries(answer.extras ?? {}).map(([name, row]) => {
    const shown = Object.entries(row).filter(([key]) => !["example_id", "example_hash"].includes(key));
    return h("details", {}, h("summary", {}, name), h("dl", {}, shown.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, plain(value))])));
  });
  const controls = (answer.controls ?? []).map((control) => h("li", {}, h("b", {}, control.run), badge(control.outcome), h("span.obv-rule", {}, control.status === "ok" || !control.status ? control.response : control.reason)));
  const rule = answer.rule ? h("span.obv-rule", {}, `read by ${answer.rule}${answer.choice ? ` as ${answer.choice}` : ""}`) : null;
  const said = answer.status && answer.status !== "ok" ? answer.reason : answer.response || "(empty answer)";
  return h("div.obv-answer", {}, h("div", {}, h("b", {}, answer.run), badge(answer.outcome), rule), h("blockquote", {}, said ?? ""), controls.length ? h("ul.obv-controls", { "aria-label": "Controls" }, controls) : null, extras);
}

function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The conversation token by token: special tokens visible, learned ones marked, visual ones joined. */
export function tokensPanel(tokens, onToken) {
  const info = h("p.obv-caption", { "aria-live": "polite" }, "Choose a token to see its number, label and positions.");
  const chips = h("div.obv-tokens", { role: "group", "aria-label": "Tokens in reading order" });
  const elements = new Map();
  const choose = (token) => {
    for (const element of elements.values()) press(element, false);
    const piece = [...elements.keys()].filter((start) => start <= token).pop();
    if (piece !== undefined) press(elements.get(piece), true);
    info.textContent = describeToken(tokens, token);
    const place = tokenPlace(tokens.runs, token);
    chart.mark(token);
    onToken(token, place);
  };
  const pieces = tokenPieces(tokens);
  for (const piece of pieces.slice(0, MAX_CHIPS)) {
    const kind = KIND_NAMES[piece.kind];
    const text = piece.kind === 2 ? `▦ ${piece.length} visual, frames ${piece.patch + 1}` : piece.text.replaceAll("\n", "⏎");
    const chip = h(`button.obv-token.obv-kind-${kind}`, { type: "button", "aria-pressed": "false", title: `${kind} token ${piece.token}`, onclick: () => choose(piece.token) }, text || "␣");
    elements.set(piece.token, chip);
    chips.append(chip);
    if (piece.text.includes("\n")) chips.append(h("br"));
  }
  if (pieces.length > MAX_CHIPS) chips.append(h("p.obv-empty", {}, `${pieces.length - MAX_CHIPS} more tokens are not drawn.`));
  const chart = positionChart(tokens, choose);
  const counts = `${tokens.ids.length} tokens: ${tokens.num_visual} visual, ${tokens.num_learned} learned`;
  const legend = h("p.obv-legend", {}, KIND_NAMES.map((kind) => h(`span.obv-token.obv-kind-${kind}`, {}, kind)), h("span", {}, counts));
  return { parts: [legend, chips, info, chart.element], choose };
}

function describeToken(tokens, token) {
  const [time, height, width] = tokens.positions.map((row) => row[token]);
  const label = tokens.learned[token] ? "learned" : "label −100";
  const place = tokenPlace(tokens.runs, token);
  const where = place ? ` · temporal patch ${place.patch + 1}, row ${place.row + 1}, column ${place.column + 1}` : ` · “${tokens.texts[token].replaceAll("\n", "⏎")}”`;
  return `Token ${token} · id ${tokens.ids[token]} · ${label} · position time ${time}, height ${height}, width ${width}${where}`;
}

/** The three rows of positions along the tokens. */
function positionChart(tokens, choose) {
  const [width, height] = [600, 110];
  const count = tokens.ids.length;
  const top = Math.max(1, ...tokens.positions.map((row) => row.reduce((a, b) => Math.max(a, b), 0)));
  const x = (i) => (i / Math.max(1, count - 1)) * width;
  const svg = s("svg", { viewBox: `0 -4 ${width} ${height + 8}`, class: "obv-chart", role: "img", "aria-label": `Positions of ${count} tokens on the axes time, height and width, from 0 to ${top}` });
  const names = ["time", "height", "width"];
  tokens.positions.forEach((row, axis) => {
    const points = row.map((value, i) => `${x(i).toFixed(1)},${(height - (value / top) * height).toFixed(1)}`);
    svg.append(s("polyline", { points: points.join(" "), class: `obv-line obv-axis-${axis}` }));
  });
  const mark = s("line", { y1: -4, y2: height + 4, class: "obv-playhead" });
  svg.append(mark);
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    choose(Math.min(count - 1, Math.max(0, Math.round(((event.clientX - box.left) / box.width) * (count - 1)))));
  });
  const key = h("p.obv-legend", {}, "Positions: ", names.map((name, axis) => h(`span.obv-key.obv-axis-${axis}`, {}, name)), h("span", {}, `0 to ${top}`));
  return { element: h("figure.obv-figure", {}, key, svg), mark: (token) => ["x1", "x2"].forEach((name) => mark.setAttribute(name, x(token))) };
}

/** Words, segments, scores and the model's frames along the sample's time. */
export class TimeLine {
  constructor(onTime) {
    this.onTime = onTime;
    this.lane = h("div.obv-lane");
    this.element = h("section.obv-timeline", { "aria-label": "Time line: segments, words, scores and frames", tabIndex: 0 }, this.lane);
    this.element.hidden = true;
  }

  show(line, pictures) {
    const end = line ? line.to - line.from : pictures?.all_pts?.length ? pictures.all_pts[pictures.all_pts.length - 1] + 0.04 : 0;
    this.element.hidden = !(end > 0);
    if (this.element.hidden) return;
    this.end = end;
    this.from = line?.from ?? 0;
    this.segments = (line?.segments ?? []).map(([a, b, kind]) => [a - this.from, b - this.from, kind]).filter(([a, b]) => b > 0 && a < end);
    const words = (line?.words ?? []).map(([text, a, b]) => [text, a - this.from, b - this.from]).filter(([, a, b]) => b > 0 && a < end);
    const room = (this.element.clientWidth || 600) / end;
    this.scale = words.length || line?.scores?.length ? Math.max(WORD_SCALE, room) : room;
    this.lane.style.width = `${Math.ceil(end * this.scale)}px`;
    this.playhead = h("div.obv-head");
    this.words = words.map(([text, a, b]) => this._block("button.obv-word", a, b, text, { type: "button", tabIndex: -1, title: `${text}: ${formatTime(a)} to ${formatTime(b)}`, onclick: () => this.onTime(Math.max(0, a)) }));
    const parts = this.segments.map(([a, b, kind]) => this._block("div.obv-segment", Math.max(0, a), Math.min(end, b), kind, { title: kind }));
    const ticks = (pictures?.pts ?? []).map((time, i) => h("button.obv-tick", { type: "button", tabIndex: -1, style: `left:${time * this.scale}px`, "aria-label": `Model frame ${i + 1} at ${formatTime(time)}`, onclick: () => this.onTime(time) }));
    fill(
      this.lane,
      parts.length ? h("div.obv-row", {}, parts) : null,
      this.words.length ? h("div.obv-row.obv-words", {}, this.words) : null,
      this._scores(line),
      h("div.obv-row.obv-ticks", {}, ticks),
      this.playhead,
    );
    this.lane.onclick = (event) => {
      if (event.target.closest("button")) return;
      this.onTime((event.clientX - this.lane.getBoundingClientRect().left) / this.scale);
    };
    this.spans = words;
    this.setTime(0);
  }

  _block(spec, a, b, text, attributes) {
    const style = `left:${Math.max(0, a) * this.scale}px;width:${Math.max(3, (b - Math.max(0, a)) * this.scale - 1)}px`;
    return h(spec, { ...attributes, style }, text);
  }

  _scores(line) {
    if (!line?.scores?.length) return null;
    const points = line.score_times.map((time, i) => [(time - this.from) * this.scale, 40 - 40 * line.scores[i]]);
    const width = this.end * this.scale;
    const svg = s("svg", { viewBox: `0 0 ${width} 40`, width, height: 40, class: "obv-scores", role: "img", "aria-label": "Classifier scores" });
    svg.append(s("polyline", { points: points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), class: "obv-line obv-axis-0" }));
    if (line.threshold !== null) svg.append(s("line", { x1: 0, x2: width, y1: 40 - 40 * line.threshold, y2: 40 - 40 * line.threshold, class: "obv-threshold" }));
    return h("div.obv-row", {}, svg);
  }

  setTime(time) {
    if (this.element.hidden) return;
    const left = time * this.scale;
    this.playhead.style.left = `${left}px`;
    this.words.forEach((word, i) => word.classList.toggle("obv-now", this.spans[i][1] <= time + 1e-3 && time < this.spans[i][2]));
    const { element } = this;
    if (left < element.scrollLeft || left > element.scrollLeft + element.clientWidth - 40) element.scrollLeft = left - element.clientWidth / 3;
  }
}

/** What the ledger recorded of the sample, stage by stage. */
export function lineagePanel(rows, facts) {
  const known = Object.entries(facts).filter(([name]) => !["caption", "transcript"].includes(name));
  const list = h("dl.obv-facts", {}, known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, plain(value))]));
  if (!rows.length) return [list, h("p.obv-empty", {}, "The ledger has no line about this sample.")];
  const entries = rows.map((row) =>
    h(
      "li",
      {},
      h("div", {}, h("b", {}, row.stage), h(`span.obv-badge.obv-${row.status}`, {}, row.status), h("span.obv-rule", {}, `${row.at} · ${row.seconds.toFixed(2)} s${row.attempts > 1 ? ` · attempt ${row.attempts}` : ""}`)),
      row.reason ? h("p.obv-text", {}, row.reason) : null,
      h("details", {}, h("summary", {}, "settings and output"), h("pre", { tabIndex: 0 }, JSON.stringify({ item: row.item_id, settings: row.settings, output: row.output }, null, 1))),
    ),
  );
  return [list, h("ol.obv-lineage", {}, entries)];
}
