// ClipInspector: samples on the left, what the model saw on the right, labels below.
import { agreement, formatTime, hashOfSample, nextEdge, sampleOfHash, tokenAt, tokenPlace } from "./logic.mjs";
import { bindKeys, button, copy, download, fill, h, Labels, Line, press, select, textOf } from "./ui.mjs";
import { Browser } from "./browse.mjs";
import { lineagePanel, questionsPanel, tabs, TimeLine, tokensPanel } from "./panels.mjs";
import { Stage } from "./stage.mjs";

const VERDICTS = ["right", "wrong", "unclear"];
const HELP = [
  ["j k ↓ ↑", "next and previous sample"], ["r", "a random sample"], ["/", "search"], ["← →", "frame back and on"],
  ["space", "play or pause"], [", .", "slower and faster"], ["l", "loop the segment"], ["[ ]", "segment edges"],
  ["v", "model frames or video"], ["g", "token grid"], ["1 2 3", "right, wrong, unclear"], ["f", "flag"], ["m", "mark the frame"],
  ["n", "note"], ["u", "undo"], ["c", "copy a link"], ["Esc", "leave a text field"],
];

class Inspector {
  constructor(model, el) {
    this.model = model;
    this.embedded = model.get("embedded");
    this.cache = new Map();
    this.flags = model.get("flags");
    this.line = new Line(model);
    this.labels = new Labels(model, this.line, () => this._labelsChanged());
    this.browser = new Browser((index) => this.open(index), () => this.flagged());
    this.stage = new Stage({
      exactFrame: (index) => this._image("frame", { index }),
      videoFrame: (time) => this._image("video_frame", { time }),
      onFrame: (index, time) => this._onFrame(index, time),
      onSquare: (patch, row, column) => this._onSquare(patch, row, column),
      edge: (direction) => this.edge(direction),
      isLive: () => this.line.live,
    });
    this.timeline = new TimeLine((time) => this.stage.setTime(time));
    this._build(el);
    model.on("change:facets", () => this._followFacets());
    this._load();
  }

  /** A dashboard beside this inspector chose what to show. */
  _followFacets() {
    for (const [name, value] of Object.entries(this.model.get("facets") ?? {})) this.browser.setFacet(name, value);
  }

  _build(el) {
    this.title = h("h3.obv-title", {}, this.model.get("title"));
    this.heading = h("h4.obv-heading", { "aria-live": "polite" }, "…");
    this.sub = h("p.obv-sub");
    this.notices = h("div.obv-notices", { role: "status" });
    this.panels = { Questions: h("div"), Tokens: h("div"), Lineage: h("div"), Raters: h("div"), Keys: h("div") };
    fill(this.panels.Keys, h("dl.obv-keys", {}, HELP.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])));
    this.tabs = tabs("About this sample", this.panels, (name) => this._openTab(name));
    const move = [
      button("←", "Previous sample (k)", () => this.browser.step(-1)),
      button("→", "Next sample (j)", () => this.browser.step(1)),
      button("⚄", "A random sample (r)", () => this.browser.random()),
      button("Link", "Copy a link to this sample (c)", () => this.link()),
    ];
    this.main = h(
      "main.obv-main",
      { role: "region", "aria-label": "Sample" },
      h("header.obv-bar.obv-head-bar", {}, h("div.obv-names", {}, this.heading, this.sub), h("div.obv-group", {}, move)),
      this.notices,
      h("div.obv-columns", {}, h("div.obv-left", {}, this.stage.element, this.timeline.element), h("div.obv-right", {}, this.tabs.element)),
      this._labelBar(),
    );
    const shell = h("div.obv-shell", {}, h("div.obv-side", {}, this.title, this.browser.element), this.main);
    this.root = h("div.obv.obv-inspector", { tabIndex: -1, role: "group", "aria-label": `Inspector of ${this.model.get("title")}` }, shell);
    bindKeys(this.root, this._keys());
    el.append(this.root);
  }

  _labelBar() {
    this.verdicts = VERDICTS.map((name, i) => button(`${i + 1} ${name}`, `Label this sample ${name} (${i + 1})`, () => this.verdict(name)));
    this.flag = select("Flag", [["", "⚑ no flag"], ...this.flags.map((flag) => [flag, `⚑ ${flag}`])], "", (value) => this.set("flag", value || null));
    this.mark = button("◉ mark frame", "Mark the frame shown (m)", () => this.markFrame());
    this.note = h("input.obv-note", { type: "text", placeholder: "Note …", "aria-label": "Note about this sample", onchange: () => this.set("note", this.note.value.trim() || null) });
    this.correction = h("input.obv-note", { type: "text", placeholder: "Corrected caption or answer …", "aria-label": "Correction", onchange: () => this.set("correction", this.correction.value.trim() || null) });
    this.saved = h("span.obv-saved", { role: "status" });
    const undo = button("↶ undo", "Take back the last label (u)", () => this.undo());
    const formats = [["", "Export …"], ["jsonl", "JSON lines"], ["label_studio", "Label Studio"], ["fiftyone", "FiftyOne"]];
    this.exporting = select("Export labels", formats, "", (format) => this.export(format));
    return h("footer.obv-labels", { "aria-label": "Labels", role: "group" }, h("div.obv-bar", {}, h("div.obv-group", { role: "group", "aria-label": "Verdict" }, this.verdicts), this.flag, this.mark, undo, this.exporting, this.saved), h("div.obv-bar.obv-notes", {}, this.note, this.correction));
  }

  _keys() {
    const { browser, stage } = this;
    return {
      j: () => browser.step(1), k: () => browser.step(-1), ArrowDown: () => browser.step(1), ArrowUp: () => browser.step(-1),
      r: () => browser.random(), "/": () => browser.search.focus(), ArrowLeft: () => stage.step(-1), ArrowRight: () => stage.step(1),
      " ": () => stage.play(), v: () => stage.setMode(stage.mode === "model" && !stage.videoButton.disabled ? "video" : "model"),
      g: () => stage.setGrid(!stage.grid), l: () => stage.setLoop(!stage.loop), ",": () => stage.changeSpeed(-1), ".": () => stage.changeSpeed(1),
      "[": () => this.edge(-1), "]": () => this.edge(1), 1: () => this.verdict(VERDICTS[0]), 2: () => this.verdict(VERDICTS[1]), 3: () => this.verdict(VERDICTS[2]),
      f: () => this.set("flag", this.labels.get(this.id, "flag") ? null : this.flags[0]), m: () => this.markFrame(), n: () => this.note.focus(),
      u: () => this.undo(), c: () => this.link(), "?": () => this.tabs.open("Keys"), Escape: () => this.root.focus(),
    };
  }

  /** First what the page itself holds, then what the kernel says. */
  async _load() {
    if (this.embedded) this._take(this.embedded.table, this.embedded.texts);
    else this._notice(["Waiting for the kernel. Run the cell again if nothing comes."]);
    const reply = await this.line.ask("open");
    this._take(JSON.parse(textOf(reply.buffers[0])), null);
    this.labels.others = reply.others;
    this.labels.resend();
    const texts = await this.line.ask("texts");
    this.browser.takeTexts(JSON.parse(textOf(texts.buffers[0])));
  }

  _take(table, texts) {
    const wanted = this.id || sampleOfHash(window.location.hash) || this.model.get("start");
    this.cache.clear();
    this.browser.load(table);
    if (texts) this.browser.takeTexts(texts);
    this._followFacets();
    if (wanted && !this.browser.find(wanted)) this._notice([`There is no sample ${wanted} here.`]);
  }

  async open(index) {
    const { id: ids } = this.browser.columns;
    if (index < 0) {
      this.id = "";
      this.heading.textContent = "No sample matches";
      this.sub.textContent = "";
      this.stage.clear("Loosen the search or the filters.");
      return;
    }
    const id = ids[index];
    const again = this.id === id && this.detail?.id === id;
    if (again && this.shown === this.line.live) return;
    const started = performance.now();
    this.id = id;
    this.shown = this.line.live;
    this.heading.textContent = id;
    this.stage.clear("Reading the frames …");
    this._showLabels();
    try {
      const [detail, pictures] = this._fetch(id);
      this._showDetail(id, await detail);
      this.detail_ms = performance.now() - started;
      this._showPictures(id, await pictures);
      this.root.dataset.shownMs = String(Math.round(performance.now() - started));
      this.root.dataset.shown = id;
    } catch (error) {
      if (this.id === id) this.stage.clear(error.message);
    }
  }

  _fetch(id) {
    const kept = this.embedded?.samples?.[id];
    if (kept && !this.line.live) return [kept.detail, kept.pictures];
    const detail = this.line.ask("show", { id, next: this.browser.neighbours() }).then((reply) => reply.detail);
    const pictures = this.line.ask("pictures", { id }).then((reply) => ({ ...reply.pictures, images: reply.buffers }));
    return [detail, pictures];
  }

  _showDetail(id, detail) {
    if (this.id !== id) return;
    this.detail = detail;
    const { facts } = detail;
    const span = facts.to !== undefined ? `${formatTime(facts.from)} to ${formatTime(facts.to)} of ${facts.source}` : facts.source;
    this.sub.textContent = [span, facts.modality, facts.region, facts.split, facts.family].filter(Boolean).join(" · ");
    this._notice(detail.notices);
    fill(this.panels.Questions, questionsPanel(detail));
    fill(this.panels.Lineage, lineagePanel(detail.lineage ?? [], facts));
    fill(this.panels.Tokens, h("p.obv-empty", {}, "…"));
    this.tokens = null;
    this.timeline.show(detail.timeline, null);
    if (!this.panels.Tokens.hidden) this._openTab("Tokens");
    this._showLabels();
  }

  _showPictures(id, pictures) {
    if (this.id !== id) return;
    if (pictures.problem) {
      this._notice(this.detail.notices.filter((text) => text !== pictures.problem));
      this.stage.clear(pictures.problem);
      return;
    }
    this.stage.show(pictures, pictures.images);
    this.timeline.show(this.detail.timeline, pictures);
    if (pictures.notice) this._notice([...this.detail.notices, pictures.notice]);
  }

  async _openTab(name) {
    if (name === "Raters") this._showRaters();
    if (name !== "Tokens" || this.tokens || !this.id) return;
    const { id } = this;
    fill(this.panels.Tokens, h("p.obv-empty", {}, "Encoding the conversation …"));
    try {
      const kept = this.embedded?.samples?.[id]?.tokens;
      const tokens = kept && !this.line.live ? kept : (await this.line.ask("tokens", { id })).tokens;
      if (this.id !== id) return;
      this.tokens = tokens;
      const panel = tokensPanel(tokens, (_, place) => place && this.stage.pictures && this.stage.point(place));
      this.chooseToken = panel.choose;
      fill(this.panels.Tokens, tokens.note ? h("p.obv-empty", {}, tokens.note) : null, panel.parts);
    } catch (error) {
      fill(this.panels.Tokens, h("p.obv-notice", {}, error.message));
    }
  }

  _onSquare(patch, row, column) {
    this.stage.point({ patch, row, column });
    if (this.tokens) this.chooseToken(tokenAt(this.tokens.runs, patch, row, column));
    else this.tabs.open("Tokens");
  }

  _onFrame(index, time) {
    this.timeline.setTime(time);
  }

  edge(direction) {
    const segments = this.timeline.segments?.length ? this.timeline.segments : [[0, this.timeline.end ?? 0]];
    this.stage.setTime(Math.max(0, nextEdge(segments, this.stage.time, direction)));
  }

  async _image(kind, content) {
    if (!this.line.live) return null;
    const { id } = this;
    try {
      const reply = await this.line.ask(kind, { id, ...content });
      return kind === "frame" ? reply.buffers[0] : { image: reply.buffers[0], time: reply.time };
    } catch (error) {
      this._notice([error.message]);
      return null;
    }
  }

  verdict(name) {
    this.set("verdict", this.labels.get(this.id, "verdict") === name ? null : name);
  }

  markFrame() {
    if (!this.stage.pictures) return;
    const field = `frame ${this.stage.time.toFixed(3)}`;
    this.set(field, this.labels.get(this.id, field) ? null : { shown: this.stage.mode, time_s: Number(this.stage.time.toFixed(6)) });
  }

  /** Label the sample in view. Where its hash has not arrived yet, the kernel adds it: no click is lost. */
  set(field, value) {
    if (!this.id || (this.labels.get(this.id, field) ?? null) === value) return;
    const hash = this.detail?.id === this.id ? this.detail.hash : "";
    this.labels.set(this.id, hash, field, value);
  }

  undo() {
    const item = this.labels.undo();
    if (item && item !== this.id) this.browser.find(item);
    this._showLabels();
  }

  flagged() {
    return new Set(Object.entries(this.labels.held).filter(([, fields]) => fields.flag).map(([id]) => id));
  }

  _labelsChanged() {
    if (!this.root) return;
    this._showLabels();
    this.browser._draw();
    if (!this.panels.Raters.hidden) this._showRaters();
  }

  _showLabels() {
    const held = this.labels.held[this.id] ?? {};
    VERDICTS.forEach((name, i) => press(this.verdicts[i], held.verdict === name));
    this.flag.value = held.flag ?? "";
    if (held.flag && this.flag.value !== held.flag) this.flag.append(h("option", { value: held.flag }, `⚑ ${held.flag}`)), (this.flag.value = held.flag);
    for (const [input, field] of [[this.note, "note"], [this.correction, "correction"]]) {
      if (document.activeElement !== input || this.labelled !== this.id) input.value = held[field] ?? "";
    }
    this.labelled = this.id;
    const marked = Object.keys(held).filter((field) => field.startsWith("frame ")).map((field) => Number(field.slice(6)));
    this.mark.textContent = marked.length ? `◉ ${marked.length} marked` : "◉ mark frame";
    this.saved.textContent = `${this.labels.rater}: ${this.labels.status()}`;
    this.saved.classList.toggle("obv-failed", Boolean(this.labels.problem));
  }

  _showRaters() {
    const raters = this.labels.raters();
    const own = this.labels.held[this.id];
    const here = Object.entries(raters).filter(([name]) => name === this.labels.rater || own);
    const values = here.flatMap(([name, items]) => [h("dt", {}, name), h("dd", {}, Object.entries(items[this.id] ?? {}).map(([field, value]) => h("span.obv-tag", {}, `${field}: ${typeof value === "string" ? value : JSON.stringify(value)}`)))]);
    const rows = ["verdict", "flag"].flatMap((field) => agreement(raters, field).map((pair) => ({ ...pair, field })));
    const table = h("table.obv-table", {}, h("caption", {}, "Agreement between raters"), h("thead", {}, h("tr", {}, ["raters", "field", "items", "kappa", "they differ on"].map((x) => h("th", { scope: "col" }, x)))), h("tbody", {}, rows.map((row) => h("tr", {}, h("td", {}, row.raters.join(" and ")), h("td", {}, row.field), h("td", {}, String(row.num)), h("td", {}, row.kappa === null ? "–" : row.kappa.toFixed(2)), h("td", {}, row.differing.slice(0, 20).map((id) => h("button.obv-link", { type: "button", onclick: () => this.browser.find(id) }, id)))))));
    fill(this.panels.Raters, h("dl.obv-facts", {}, values), own ? null : h("p.obv-empty", {}, "What others said of this sample shows once you have labelled it."), rows.length ? table : h("p.obv-empty", {}, "There is one rater so far: a second file beside it shows their agreement here."));
  }

  async export(format) {
    this.exporting.value = "";
    if (!format) return;
    if (this.line.live) {
      const reply = await this.line.ask("export", { format }).catch((error) => ({ text: error.message }));
      this._notice([reply.text]);
    } else if (format === "jsonl") download(`${this.labels.rater}.jsonl`, this.labels.log.map((label) => `${JSON.stringify(label)}\n`).join(""));
    else this._notice(["Without a kernel labels leave as JSON lines; obvlib.widgets.export turns them into other formats."]);
  }

  async link() {
    const address = `${window.location.href.split("#")[0]}${hashOfSample(this.id)}`;
    const done = await copy(address);
    this._notice([done ? `Copied: ${address}` : address]);
  }

  _notice(texts) {
    fill(this.notices, (texts ?? []).map((text) => h("p.obv-notice", {}, text)));
  }

  close() {
    this.line.close();
    this.stage.close();
    this.browser.close();
  }
}

export default {
  render({ model, el }) {
    const inspector = new Inspector(model, el);
    return () => inspector.close();
  },
};
