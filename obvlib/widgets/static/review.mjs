// QAReview: accept, edit or reject questions, or captions, that a machine wrote.
import { Labels, Line } from "./labels.mjs";
import { bindKeys, button, fill, h, press, select } from "./ui.mjs";

const FIELD = "decision";

class QAReview {
  constructor(model, el) {
    this.model = model;
    this.items = model.get("items");
    this.reasons = model.get("reasons");
    this.what = this.items[0]?.caption === undefined ? "question" : "caption";
    this.at = 0;
    this.editing = false;
    this.line = new Line(model);
    const ids = new Set(this.items.map((item) => item.id));
    const owns = (label) => label.field === FIELD && ids.has(label.item_id);
    this.labels = new Labels(model, this.line, () => this.root && this._labelsChanged(), owns);
    this.line.ask("open").then((reply) => this.labels.opened(reply));
    this._build(el);
    this.go(
      Math.max(
        0,
        this.items.findIndex((item) => !this._decision(item)),
      ),
    );
  }

  _decision(item) {
    return item && this.labels.get(item.id, FIELD);
  }

  _build(el) {
    this.body = h("div", { style: "display:grid;gap:8px" });
    this.state = h("p.obv-caption", { role: "status" });
    this.progress = h("i");
    this.saved = h("span.obv-saved", { role: "status" });
    this.accept = button("a accept", `Accept this ${this.what} (a)`, () =>
      this.decide({ action: "accept" }),
    );
    this.edit = button("e edit", `Edit this ${this.what} (e)`, () => this.setEditing(!this.editing));
    this.reject = select(
      "Reject with a reason (r, then its number)",
      [["", "r reject …"], ...this.reasons.map((reason, i) => [reason, `${i + 1} ${reason}`])],
      "",
      (reason) => reason && this.decide({ action: "reject", reason }),
    );
    const tools = [
      button("←", `Previous ${this.what} (k)`, () => this.go(this.at - 1)),
      button("→", `Next ${this.what} (j)`, () => this.go(this.at + 1)),
      button("↶ undo", "Take back the last decision (u)", () => this.undo()),
      button("Export", "Save decisions as JSON lines", () => this.labels.export()),
    ];
    this.root = h(
      "div.obv.obv-review",
      { role: "group", "aria-label": this.what === "caption" ? "Caption review" : "Question review", tabIndex: -1 },
      h(
        "div.obv-panel",
        {},
        this.state,
        h("div.obv-progress", { "aria-hidden": "true" }, this.progress),
        this.body,
        h("div.obv-choices", {}, this.accept, this.edit, this.reject),
        h("div.obv-bar", { style: "padding:0" }, tools, this.saved),
      ),
    );
    bindKeys(this.root, this._keys());
    el.append(this.root);
  }

  /** Any key but the number of a reason leaves the choice of one. */
  _keys() {
    const keys = {
      a: () => this.decide({ action: "accept" }),
      e: () => this.setEditing(true),
      u: () => this.undo(),
      j: () => this.go(this.at + 1),
      k: () => this.go(this.at - 1),
      ArrowRight: () => this.go(this.at + 1),
      ArrowLeft: () => this.go(this.at - 1),
    };
    for (const [key, action] of Object.entries(keys)) {
      keys[key] = () => {
        this.askReason(false);
        action();
      };
    }
    keys.r = () => this.askReason(!this.isAsking);
    this.reasons.forEach((reason, i) => {
      keys[i + 1] = () => this.isAsking && this.decide({ action: "reject", reason });
    });
    return keys;
  }

  askReason(isOn) {
    this.isAsking = isOn;
    const choices = this.reasons.map((reason, i) => `${i + 1} ${reason}`);
    if (isOn) this.state.textContent = `Reject: ${choices.join(" · ")}`;
    else this._showState();
  }

  _labelsChanged() {
    if (this.editing) this._showState();
    else this._draw();
  }

  go(at) {
    this.at = Math.min(this.items.length - 1, Math.max(0, at));
    this.editing = false;
    this._draw();
  }

  setEditing(isOn) {
    this.editing = isOn;
    this._draw();
    if (isOn) (this.inputs.caption ?? this.inputs.question).focus();
  }

  decide(decision) {
    this.isAsking = false;
    const item = this.items[this.at];
    if (!item) return;
    this.labels.set(item.id, item.hash, FIELD, decision);
    this.go(this.at + 1);
  }

  undo() {
    const id = this.labels.undo();
    const at = this.items.findIndex((item) => item.id === id);
    if (at >= 0) this.go(at);
  }

  /** The question as it now stands: as the rater edited it, else as it came. */
  _current(item) {
    const decision = this._decision(item);
    return decision?.action === "edit" ? { ...item, ...decision } : item;
  }

  _draw() {
    const item = this.items[this.at];
    this.reject.value = "";
    if (!item) return fill(this.body, h("p.obv-empty", {}, `There is no ${this.what} to review.`));
    const current = this._current(item);
    const support = item.support
      ? [h("h4", {}, "What was said"), h("p.obv-text", {}, item.support)]
      : [];
    fill(
      this.body,
      support,
      this.editing ? this._form(current) : this._card(current),
      item.warnings?.length ? h("p.obv-notice", {}, item.warnings.join(" · ")) : null,
    );
    this._showState();
  }

  _card(item) {
    if (this.what === "caption") {
      return h("article.obv-question", {}, h("h4", {}, "Caption"), h("p.obv-text", {}, item.caption));
    }
    const options = Object.entries(item.options ?? {}).map(([letter, text]) =>
      h(
        `li${letter === item.answer ? ".obv-gold" : ""}`,
        {},
        h("b", {}, letter),
        h("span", {}, text),
        letter === item.answer ? h("span.obv-tag", {}, "answer") : null,
      ),
    );
    return h(
      "article.obv-question",
      {},
      h("h4", {}, item.question),
      options.length
        ? h("ul.obv-options", {}, options)
        : h("p.obv-text", {}, h("span.obv-tag", {}, "answer"), ` ${item.answer}`),
    );
  }

  _form(item) {
    if (this.what === "caption") return this._captionForm(item);
    const field = (label, value) => h("input", { type: "text", value, "aria-label": label });
    this.inputs = {
      question: h("textarea", { "aria-label": "Question", value: item.question }),
      options: {},
    };
    const rows = Object.entries(item.options ?? {}).map(([letter, text]) => {
      this.inputs.options[letter] = field(`Option ${letter}`, text);
      return h("label", {}, letter, this.inputs.options[letter]);
    });
    const letters = Object.keys(item.options ?? {});
    this.inputs.answer = letters.length
      ? select(
          "Answer",
          letters.map((letter) => [letter, letter]),
          item.answer,
          () => {},
        )
      : field("Answer", item.answer);
    return h(
      "div.obv-question",
      {},
      h("label", {}, "Question", this.inputs.question),
      h("div.obv-form", {}, rows, h("label", {}, "Answer", this.inputs.answer)),
      this._saveOrCancel(() => this._saveEdit()),
    );
  }

  _captionForm(item) {
    const caption = h("textarea", { "aria-label": "Caption", value: item.caption });
    this.inputs = { caption };
    const save = () => {
      const text = caption.value.trim();
      if (text) this.decide({ action: "edit", caption: text });
      else this.state.textContent = "Fill in the caption, or reject it.";
    };
    return h(
      "div.obv-question",
      {},
      h("label", {}, "Caption", caption),
      this._saveOrCancel(save),
    );
  }

  _saveOrCancel(save) {
    return h(
      "div.obv-choices",
      {},
      button("Save", `Save the edited ${this.what}`, save),
      button("Cancel", `Leave the ${this.what} as it was`, () => this.setEditing(false)),
    );
  }

  _saveEdit() {
    const { question, options, answer } = this.inputs;
    const texts = Object.fromEntries(
      Object.entries(options).map(([letter, input]) => [letter, input.value.trim()]),
    );
    const values = Object.values(texts);
    if (
      !question.value.trim() ||
      values.some((text) => !text) ||
      new Set(values).size < values.length ||
      !answer.value.trim()
    ) {
      this.state.textContent = "Fill in the question and every option; options must differ.";
      return;
    }
    this.decide({
      action: "edit",
      question: question.value.trim(),
      options: texts,
      answer: answer.value,
    });
  }

  _showState() {
    const decided = this.items.filter((item) => this._decision(item)).length;
    const item = this.items[this.at];
    const decision = this._decision(item);
    const said = decision
      ? ` · ${decision.action}${decision.reason ? `: ${decision.reason}` : ""}`
      : "";
    this.state.textContent = item
      ? `${item.id} · ${this.at + 1} of ${this.items.length} · ${decided} decided${said}`
      : "";
    this.progress.style.width = `${(100 * decided) / Math.max(1, this.items.length)}%`;
    press(this.accept, decision?.action === "accept");
    press(this.edit, decision?.action === "edit");
    this.labels.showStatus(this.saved);
  }

  close() {
    this.line.close();
    this.labels.close();
  }
}

export default {
  render({ model, el }) {
    const review = new QAReview(model, el);
    return () => review.close();
  },
};
