// The bar under a sample's frames: verdict, flag, marked frames, note, correction, undo, export.
import { button, h, press, select } from "./ui.mjs";

export const VERDICTS = ["right", "wrong", "unclear"];
const FIELDS = ["verdict", "flag", "note", "correction"];
const FORMATS = [
  ["", "Export …"],
  ["jsonl", "JSON lines"],
  ["label_studio", "Label Studio"],
  ["fiftyone", "FiftyOne"],
];
const MARK = "frame ";

/** Whether a label's field is one that this bar sets. */
export function isBarField(field) {
  return FIELDS.includes(field) || field.startsWith(MARK);
}

export class LabelBar {
  /**
   * `host` has `item()`, the {id, hash} in view, `frame()`, the {time, shown} in view or null,
   * `open(id)`, `export(format)`, and the rater's `labels`.
   */
  constructor(host, flags) {
    this.host = host;
    this.flags = flags;
    this.isFlagging = false;
    this._build();
  }

  _build() {
    this.verdicts = VERDICTS.map((name, i) =>
      button(`${i + 1} ${name}`, `Text and pictures: ${name} (${i + 1})`, () => this.verdict(i)),
    );
    const flags = this.flags.map((flag, i) => [flag, `⚑ ${i + 1} ${flag}`]);
    this.flag = select("Flag (f, then its number)", [["", "⚑ no flag"], ...flags], "", (value) =>
      this.set("flag", value || null),
    );
    this.mark = button("◉ mark frame", "Mark the frame shown (m)", () => this.markFrame());
    this.note = this._input("note", "Note …", "Note about this sample");
    this.correction = this._input("correction", "Corrected caption or answer …", "Correction");
    this.hint = h("p.obv-caption", { role: "status", hidden: true });
    this.saved = h("span.obv-saved", { role: "status" });
    const undo = button("↶ undo", "Take back the last label (u)", () => this.undo());
    this.exporting = select("Export labels", FORMATS, "", (format) => {
      this.exporting.value = "";
      if (format) this.host.export(format);
    });
    this.element = h(
      "div.obv-labels",
      { "aria-label": "Labels", role: "group" },
      h(
        "div.obv-bar",
        {},
        h("span.obv-ask", { "aria-hidden": "true" }, "Text fits the pictures?"),
        h("div.obv-group", { role: "group", "aria-label": "Verdict" }, this.verdicts),
        this.flag,
        this.mark,
      ),
      this.hint,
      h("div.obv-bar.obv-notes", {}, this.note, this.correction),
      h("div.obv-bar.obv-foot", {}, this.saved, undo, this.exporting),
    );
  }

  _input(field, placeholder, label) {
    const input = h("input.obv-note", {
      type: "text",
      placeholder,
      "aria-label": label,
      onchange: () => this.set(field, input.value.trim() || null),
    });
    return input;
  }

  /** A digit: a verdict, or after f the number of a flag (0 for none). */
  digit(number) {
    if (!this.isFlagging) return number >= 1 && this.verdict(number - 1);
    this.askFlag(false);
    if (number <= this.flags.length) this.set("flag", this.flags[number - 1] ?? null);
  }

  askFlag(isOn) {
    if (this.isFlagging === isOn) return;
    this.isFlagging = isOn;
    this.hint.hidden = !isOn;
    const choices = ["0 none", ...this.flags.map((flag, i) => `${i + 1} ${flag}`)];
    this.hint.textContent = isOn ? `Flag: ${choices.join(" · ")}` : "";
  }

  verdict(index) {
    const name = VERDICTS[index];
    if (name) this.set("verdict", this._get("verdict") === name ? null : name);
  }

  markFrame() {
    const frame = this.host.frame();
    if (!frame) return;
    const field = `${MARK}${frame.time.toFixed(3)}`;
    const time_s = Number(frame.time.toFixed(6));
    this.set(field, this._get(field) ? null : { shown: frame.shown, time_s });
  }

  /** Label the sample in view. Where its hash has not arrived yet, the kernel adds it. */
  set(field, value) {
    const { id, hash } = this.host.item();
    if (id && (this._get(field) ?? null) !== value) this.host.labels.set(id, hash, field, value);
  }

  undo() {
    const item = this.host.labels.undo();
    if (item && item !== this.host.item().id) this.host.open(item);
    this.show();
  }

  _get(field) {
    return this.host.labels.get(this.host.item().id, field);
  }

  show() {
    const { labels } = this.host;
    const { id } = this.host.item();
    const held = labels.held[id] ?? {};
    VERDICTS.forEach((name, i) => press(this.verdicts[i], held.verdict === name));
    const known = [...this.flag.options].some((option) => option.value === (held.flag ?? ""));
    if (!known) this.flag.append(h("option", { value: held.flag }, `⚑ ${held.flag}`));
    this.flag.value = held.flag ?? "";
    for (const [input, field] of [
      [this.note, "note"],
      [this.correction, "correction"],
    ]) {
      const isTyping = document.activeElement === input && this.labelled === id;
      if (!isTyping) input.value = held[field] ?? "";
    }
    this.labelled = id;
    const marks = Object.keys(held).filter((field) => field.startsWith(MARK)).length;
    this.mark.textContent = marks ? `◉ ${marks} marked` : "◉ mark frame";
    labels.showStatus(this.saved);
    const judged = this.host.labels.having("verdict").size;
    if (judged) this.saved.textContent += ` · ${judged} judged`;
  }
}
