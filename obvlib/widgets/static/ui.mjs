// What every widget of this package is made of: elements, the line to the kernel, and labels.
// Text from data is only ever set as text, never as HTML.
import { standing } from "./logic.mjs";

/** An element: h("button.small", {onclick, "aria-label": …}, "text", child …). */
export function h(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (["value", "checked", "disabled", "hidden", "tabIndex", "src"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function button(text, label, action, attributes = {}) {
  return h("button.obv-button", { type: "button", "aria-label": label, title: label, onclick: action, ...attributes }, text);
}

export function press(element, isOn) {
  element.setAttribute("aria-pressed", String(isOn));
}

export function select(label, options, value, action) {
  const entries = options.map(([key, text]) => h("option", { value: key }, text));
  const element = h("select", { onchange: (event) => action(event.target.value), "aria-label": label }, entries);
  element.value = value;
  return element;
}

/** Keys for a whole widget: none reaches the notebook around it, none is taken while somebody types. */
export function bindKeys(root, keys) {
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const typing = event.target.closest("input, textarea, select, [role=slider]");
    if (typing && event.key === "Escape") return root.focus();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const isButton = event.target.closest("button, a, summary") && [" ", "Enter"].includes(event.key);
    const action = keys[event.key];
    if (!action || isButton) return;
    event.preventDefault();
    action(event);
  });
  for (const name of ["keyup", "keypress"]) root.addEventListener(name, (event) => event.stopPropagation());
}

/** Requests to the kernel and its answers. Without a kernel nothing ever answers. */
export class Line {
  constructor(model) {
    this.model = model;
    this.live = false;
    this.waiting = new Map();
    this.listeners = new Map();
    this.count = 0;
    this.receive = (message, buffers) => this._receive(message, buffers);
    model.on("msg:custom", this.receive);
  }

  on(kind, listener) {
    this.listeners.set(kind, listener);
  }

  ask(kind, content = {}) {
    const number = `${Date.now()}-${++this.count}`;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      this.model.send({ kind, number, ...content });
    });
  }

  close() {
    this.model.off("msg:custom", this.receive);
  }

  _receive(message, buffers) {
    this.live = true;
    const waiting = this.waiting.get(message.number);
    if (waiting) {
      this.waiting.delete(message.number);
      if (message.kind === "error") waiting.reject(new Error(message.text));
      else waiting.resolve({ ...message, buffers });
    } else this.listeners.get(message.kind)?.(message, buffers);
  }
}

export function imageUrl(buffer) {
  const bytes = new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
  const type = bytes[0] === 0x89 ? "image/png" : "image/jpeg";
  return URL.createObjectURL(new Blob([bytes], { type }));
}

export function textOf(buffer) {
  return new TextDecoder().decode(buffer);
}

/**
 * One rater's labels. Each is shown at once and sent at once; until the kernel says that it is on the
 * disk it also stays in this browser, and is sent again when the widget opens next. Without a kernel
 * labels are kept in this browser alone.
 */
export class Labels {
  constructor(model, line, onChange) {
    this.rater = model.get("rater");
    this.line = line;
    this.onChange = onChange;
    this.log = [...(model.get("labels") ?? [])];
    this.others = { ...(model.get("others") ?? {}) };
    this.store = `obv-labels/${model.get("store") || "page"}/${this.rater}`;
    this.problem = "";
    this.unsaved = this._load();
    for (const label of this.unsaved) if (!this.log.some((x) => x.label_id === label.label_id)) this.log.push(label);
    this.update();
  }

  update() {
    this.held = standing(this.log);
    this.onChange?.();
  }

  get(item, field) {
    return this.held[item]?.[field];
  }

  raters() {
    return { ...this.others, [this.rater]: this.held };
  }

  set(item, hash, field, value) {
    const label = { label_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, rater: this.rater };
    Object.assign(label, { at: new Date().toISOString(), item_id: item, item_hash: hash, field });
    Object.assign(label, { old: this.get(item, field) ?? null, new: value ?? null, undo_of: "" });
    this._add(label);
  }

  /** Take back the last label that holds; returns the item that it was about. */
  undo() {
    const takenBack = new Set();
    for (const label of [...this.log].reverse()) {
      if (takenBack.has(label.label_id)) continue;
      if (label.undo_of) takenBack.add(label.undo_of);
      else {
        const undo = { ...label, label_id: `${label.label_id}-undo-${this.log.length}`, undo_of: label.label_id };
        this._add({ ...undo, at: new Date().toISOString(), old: label.new, new: label.old });
        return label.item_id;
      }
    }
    return null;
  }

  /** Send what an earlier session could not: called when the kernel answers for the first time. */
  resend() {
    for (const label of this.unsaved) this._send(label);
  }

  status() {
    if (this.problem) return `NOT SAVED: ${this.problem}`;
    const count = this.unsaved.length;
    if (!count) return this.line.live ? "all labels saved" : "no labels yet";
    return this.line.live ? `saving ${count} …` : `${count} kept in this browser: export them`;
  }

  _add(label) {
    this.log.push(label);
    this.unsaved.push(label);
    this._keep();
    this._send(label);
    this.update();
  }

  _send(label) {
    this.line.ask("label", { label }).then(
      () => {
        this.unsaved = this.unsaved.filter((other) => other.label_id !== label.label_id);
        this.problem = "";
        this._keep();
        this.update();
      },
      (error) => {
        this.problem = error.message;
        this.update();
      },
    );
  }

  _keep() {
    try {
      localStorage.setItem(this.store, JSON.stringify(this.unsaved));
    } catch {
      // a page without storage: labels live as long as it is open
    }
  }

  _load() {
    try {
      return JSON.parse(localStorage.getItem(this.store) ?? "[]");
    } catch {
      return [];
    }
  }
}

/** Offer text as a file, made in this page. */
export function download(name, text) {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Put text on the clipboard where the page may. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
