// ClipInspector: samples on the left, what the model saw on the right, labels below.
import { hashOfSample, linkedSample } from "./links.mjs";
import { formatTime, nextEdge, spanAt, tokenAt } from "./logic.mjs";
import { bindKeys, copy, fill, h, textOf } from "./ui.mjs";
import { Browser } from "./browse.mjs";
import { keysOf } from "./keys.mjs";
import { isBarField, LabelBar } from "./labelbar.mjs";
import { Labels, Line } from "./labels.mjs";
import { lineagePanel, questionsPanel } from "./panels.mjs";
import { ratersPanel } from "./raters.mjs";
import { inspectorShell, tabPanels } from "./shell.mjs";
import { Stage } from "./stage.mjs";
import { TimeLine } from "./timeline.mjs";
import { tokensPanel } from "./tokens.mjs";

const PATIENCE_FOR_FRAMES_MS = 80; // before the first one is asked for alone
const RATERS_MS = 3000; // between two looks at what others have said

class Inspector {
  constructor(model, el) {
    this.model = model;
    this.embedded = model.get("embedded");
    this.line = new Line(model);
    this.labels = new Labels(
      model,
      this.line,
      () => this._labelsChanged(),
      (label) => isBarField(label.field) && this.browser.has(label.item_id),
    );
    this.browser = new Browser(
      (index) => this._show(index),
      (field) => this.labels.having(field),
    );
    this.stage = new Stage({
      exactFrame: (index) => this._image("frame", { index }),
      videoFrame: (time) => this._image("video_frame", { time }),
      onFrame: (_, time) => this.timeline.setTime(time),
      onSquare: (patch, row, column) => this._onSquare(patch, row, column),
      edge: (direction) => this.edge(direction),
      span: (time) => spanAt(this.timeline.segments ?? [], time, this.timeline.end ?? Infinity),
      isLive: () => this.line.live,
    });
    this.timeline = new TimeLine((time) => this.stage.setTime(time));
    this._build(el);
    model.on("change:facets", () => this._followFacets());
    this._load();
  }

  /** A dashboard beside this inspector chose what to show. */
  _followFacets() {
    for (const [name, value] of Object.entries(this.model.get("facets") ?? {}))
      this.browser.setFacet(name, value);
  }

  _build(el) {
    this.bar = new LabelBar(this, this.model.get("flags"));
    this.panels = tabPanels(); // the first tab is opened while the rest is made
    Object.assign(this, inspectorShell(this, this.model.get("title")));
    bindKeys(this.root, keysOf(this));
    el.append(this.root);
  }

  /** First what the page itself holds, then what the kernel says. */
  async _load() {
    if (this.embedded) this._take(this.embedded.table, this.embedded.texts);
    else this._notice(["Waiting for the kernel. Run the cell again if nothing comes."]);
    const reply = await this.line.ask("open");
    this.labels.opened(reply);
    this._take(JSON.parse(textOf(reply.buffers[1])), null);
    const texts = await this.line.ask("texts");
    this.browser.takeTexts(JSON.parse(textOf(texts.buffers[0])));
  }

  _take(table, texts) {
    const linked = linkedSample();
    const wanted = this.id || linked || this.model.get("start");
    this.browser.load(table);
    if (texts) this.browser.takeTexts(texts);
    this._followFacets();
    if (!wanted || this.browser.find(wanted)) return;
    const isAlone = document.querySelectorAll(".obv-inspector").length < 2;
    if (isAlone || wanted !== linked) this._notice([`There is no sample ${wanted} here.`]);
  }

  async _show(index) {
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
    this.bar.show();
    const early = setTimeout(() => this._showFirst(id, started), PATIENCE_FOR_FRAMES_MS);
    try {
      const [detail, pictures] = this._fetch(id);
      this._showDetail(id, await detail);
      this._showPictures(id, await pictures);
      this._shown(id, started);
      this.root.dataset.shownMs = String(Math.round(performance.now() - started));
      this.root.dataset.shown = id;
    } catch (error) {
      if (this.id === id) this.stage.clear(error.message);
    } finally {
      clearTimeout(early);
    }
  }

  /** Note when the first picture of a sample was on screen. */
  _shown(id, started) {
    if (this.root.dataset.first === id) return;
    this.root.dataset.first = id;
    this.root.dataset.firstMs = String(Math.round(performance.now() - started));
  }

  /** While a sample's frames are being read, show the first of them. */
  async _showFirst(id, started) {
    if (!this.line.live) return;
    const reply = await this.line.ask("first_frame", { id }).catch(() => null);
    if (!reply || this.id !== id || this.stage.pictures) return;
    this.stage.preview(reply.buffers[0]);
    this._shown(id, started);
  }

  _fetch(id) {
    const kept = this.embedded?.samples?.[id];
    if (kept && !this.line.live) return [kept.detail, kept.pictures];
    const detail = this.line
      .ask("show", { id, next: this.browser.neighbours() })
      .then((reply) => reply.detail);
    const pictures = this.line
      .ask("pictures", { id })
      .then((reply) => ({ ...reply.pictures, images: reply.buffers }));
    return [detail, pictures];
  }

  _showDetail(id, detail) {
    if (this.id !== id) return;
    this.detail = detail;
    const { facts } = detail;
    const span =
      facts.to !== undefined
        ? `${formatTime(facts.from)} to ${formatTime(facts.to)} of ${facts.source}`
        : facts.source;
    this.sub.textContent = [span, facts.modality, facts.region, facts.split, facts.family]
      .filter(Boolean)
      .join(" · ");
    this._notice(detail.notices);
    fill(this.panels.Questions, questionsPanel(detail));
    fill(this.panels.Lineage, lineagePanel(detail.lineage ?? [], facts));
    fill(this.panels.Tokens, h("p.obv-empty", {}, "…"));
    this.tokens = null;
    this.timeline.show(detail.timeline, null);
    if (!this.panels.Tokens.hidden) this.onTab("Tokens");
    this.bar.show();
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

  async onTab(name) {
    this._followRaters();
    if (name !== "Tokens" || this.tokens || !this.id) return;
    const { id } = this;
    fill(this.panels.Tokens, h("p.obv-empty", {}, "Encoding the conversation …"));
    try {
      const kept = this.embedded?.samples?.[id]?.tokens;
      const tokens =
        kept && !this.line.live ? kept : (await this.line.ask("tokens", { id })).tokens;
      if (this.id !== id) return;
      this.tokens = tokens;
      const panel = tokensPanel(
        tokens,
        (_, place) => place && this.stage.pictures && this.stage.point(place),
      );
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

  edge(direction) {
    const segments = this.timeline.segments?.length
      ? this.timeline.segments
      : [[0, this.timeline.end ?? 0]];
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

  open(id) {
    return this.browser.find(id);
  }

  item() {
    const { id } = this;
    return { id, hash: id && this.detail?.id === id ? this.detail.hash : "" };
  }

  frame() {
    return this.stage.pictures ? { time: this.stage.stopAt(), shown: this.stage.mode } : null;
  }

  _labelsChanged() {
    if (!this.root) return;
    this.bar.show();
    this.browser.showFlags();
    if (!this.panels.Raters.hidden) this._showRaters();
  }

  _showRaters() {
    fill(
      this.panels.Raters,
      ratersPanel(this.labels, this.id, (id) => this.browser.find(id)),
    );
  }

  /** While the tab is open, what others have said by now is asked for every few seconds. */
  _followRaters() {
    clearInterval(this.following);
    if (this.panels.Raters.hidden) return;
    this._showRaters();
    const ask = () => this.labels.refreshOthers().catch(() => {});
    ask();
    this.following = setInterval(ask, RATERS_MS);
  }

  async export(format) {
    if (!this.line.live) {
      if (format === "jsonl") this.labels.export();
      else this._notice(["Without a kernel labels leave as JSON lines only."]);
      return;
    }
    const asked = this.line.ask("export", { format });
    this._notice([(await asked.catch((error) => ({ text: error.message }))).text]);
  }

  async link() {
    const address = `${window.location.href.split("#")[0]}${hashOfSample(this.id)}`;
    const done = await copy(address);
    this._notice([done ? `Copied: ${address}` : address]);
  }

  _notice(texts) {
    fill(
      this.notices,
      (texts ?? []).map((text) => h("p.obv-notice", {}, text)),
    );
  }

  close() {
    clearInterval(this.following);
    this.line.close();
    this.labels.close();
    this.stage.clear("");
    this.browser.close();
  }
}

export default {
  render({ model, el }) {
    const inspector = new Inspector(model, el);
    return () => inspector.close();
  },
};
