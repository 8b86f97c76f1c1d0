// FrameLabeler: one frame after the other, those first that the classifier is least sure of.
import { labellingOrder } from "./logic.mjs";
import { Labels, Line } from "./labels.mjs";
import { bindKeys, button, h, imageUrl, press } from "./ui.mjs";

const MAX_KEPT = 60; // frames in memory

class FrameLabeler {
  constructor(model, el) {
    this.model = model;
    this.items = model.get("items");
    this.byId = new Map(this.items.map((item) => [item.id, item]));
    this.classes = model.get("classes");
    this.field = model.get("field");
    this.skipped = new Set();
    this.urls = new Map();
    this.line = new Line(model);
    const owns = (label) => label.field === this.field && this.byId.has(label.item_id);
    this.labels = new Labels(model, this.line, () => this.root && this._showState(), owns);
    this.line.ask("open").then((reply) => {
      this.labels.opened(reply);
      this.next();
    });
    this._build(el);
    this.next();
  }

  _build(el) {
    this.image = h("img", { alt: "" });
    this.caption = h("p.obv-caption", { role: "status" });
    this.progress = h("i");
    this.choices = this.classes.map((name, i) =>
      button(`${i + 1} ${name}`, `Label this frame ${name} (${i + 1})`, () => this.label(name)),
    );
    this.saved = h("span.obv-saved", { role: "status" });
    const tools = [
      button("→ skip", "Skip this frame (right arrow)", () => this.skip()),
      button("↶ undo", "Take back the last label (u)", () => this.undo()),
      button("Export", "Save labels as JSON lines", () => this.labels.export()),
    ];
    this.root = h(
      "div.obv.obv-labeler",
      { role: "group", "aria-label": "Frame labeler", tabIndex: -1 },
      h(
        "div.obv-panel",
        {},
        h("div.obv-big-frame", {}, this.image),
        this.caption,
        h("div.obv-progress", { "aria-hidden": "true" }, this.progress),
        h("div.obv-choices", { role: "group", "aria-label": "Classes" }, this.choices),
        h("div.obv-bar", { style: "padding:0" }, tools, this.saved),
      ),
    );
    const keys = { u: () => this.undo(), ArrowRight: () => this.skip() };
    this.classes.forEach((name, i) => (keys[String(i + 1)] = () => this.label(name)));
    bindKeys(this.root, keys);
    el.append(this.root);
  }

  next() {
    const open = labellingOrder(
      this.items,
      (id) => this.labels.get(id, this.field) !== undefined || this.skipped.has(id),
      this.model.get("threshold"),
    );
    if (!open.length && this.skipped.size) {
      this.skipped.clear();
      return this.next();
    }
    this.show(open[0] ?? null);
    for (const item of open.slice(1, 4)) this._url(item);
  }

  async show(item) {
    this.item = item;
    this._showState();
    this.image.hidden = !item;
    if (!item) return;
    const url = await this._url(item);
    if (this.item === item) {
      this.image.src = url;
      this.image.alt = `Frame ${item.id}`;
      this.root.dataset.shown = item.id;
    }
  }

  _url(item) {
    if (!this.urls.has(item.id)) {
      const found = item.image
        ? Promise.resolve(item.image)
        : this.line.ask("image", { id: item.id }).then((reply) => imageUrl(reply.buffers[0]));
      this.urls.set(item.id, found);
      if (this.urls.size > MAX_KEPT) this._forget(this.urls.keys().next().value);
    }
    return this.urls.get(item.id);
  }

  _forget(id) {
    this.urls.get(id).then((url) => url.startsWith("blob:") && URL.revokeObjectURL(url));
    this.urls.delete(id);
  }

  label(name) {
    if (!this.item) return;
    this.labels.set(this.item.id, this.item.hash, this.field, name);
    this.next();
  }

  skip() {
    if (this.item) this.skipped.add(this.item.id);
    this.next();
  }

  undo() {
    const id = this.labels.undo();
    if (id && this.byId.has(id)) this.show(this.byId.get(id));
  }

  _showState() {
    const done = this.items.filter(
      (item) => this.labels.get(item.id, this.field) !== undefined,
    ).length;
    this.progress.style.width = `${(100 * done) / Math.max(1, this.items.length)}%`;
    const { item } = this;
    const score = item && typeof item.score === "number" ? ` · score ${item.score.toFixed(2)}` : "";
    this.caption.textContent = item
      ? `${item.id}${item.about ? ` · ${item.about}` : ""}${score} · ${done} of ${this.items.length} labelled`
      : `All ${this.items.length} frames are labelled.`;
    this.choices.forEach((choice, i) =>
      press(choice, Boolean(item) && this.labels.get(item.id, this.field) === this.classes[i]),
    );
    this.labels.showStatus(this.saved);
  }

  close() {
    this.line.close();
    this.labels.close();
  }
}

export default {
  render({ model, el }) {
    const labeler = new FrameLabeler(model, el);
    return () => labeler.close();
  },
};
