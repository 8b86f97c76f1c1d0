// One rater's labels: shown at once, sent at once, and kept in this browser until the kernel has
// confirmed that they are on the disk.
import { mergeLabels, standing } from "./logic.mjs";
import { download, textOf } from "./ui.mjs";

const PATIENCE_MS = 6000; // after which a kernel that does not answer is reported
const MAX_WAIT_MS = 60_000; // between two attempts to save
const ARRIVED = "obv-label"; // the event by which widgets of one page tell each other

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
    const number = `${Date.now()}-${++this.count}-${Math.random()}`;
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

/**
 * Labels that no kernel has confirmed, in this browser's storage. Each has an entry of its own, so
 * that two widgets or two tabs never write over each other's. Where a page has no storage they
 * live as long as it is open.
 */
export class Unsaved {
  /** `store` names the label file: what was meant for one is never sent to another. */
  constructor(rater, store, storage) {
    this.prefix = `obv-labels/${rater}/`;
    this.store = store;
    this.storage = storage ?? ownStorage();
    this.inMemory = new Map();
  }

  get isLasting() {
    return this.storage !== null && this.inMemory.size === 0;
  }

  /** All of them, or those of this label file alone, in the order in which they were set. */
  all({ ofThisFile = false } = {}) {
    const found = this._entries().filter((entry) => !ofThisFile || entry.store === this.store);
    return found.sort((a, b) => a.order - b.order).map((entry) => entry.label);
  }

  add(label) {
    const last = Math.max(0, ...this._entries().map((entry) => entry.order));
    const entry = { order: last + 1, store: this.store, label };
    try {
      this.storage.setItem(this.prefix + label.label_id, JSON.stringify(entry));
    } catch {
      this.inMemory.set(label.label_id, entry); // no storage, or it is full
    }
  }

  remove(id) {
    this.inMemory.delete(id);
    this.storage?.removeItem(this.prefix + id);
  }

  _entries() {
    const keys = Array.from({ length: this.storage?.length ?? 0 }, (_, i) => this.storage.key(i));
    const stored = keys.filter((key) => key.startsWith(this.prefix)).map((key) => this._read(key));
    return [...stored.filter(Boolean), ...this.inMemory.values()];
  }

  _read(key) {
    try {
      const entry = JSON.parse(this.storage.getItem(key));
      return entry?.label?.label_id && Number.isFinite(entry.order) ? entry : null;
    } catch {
      return null;
    }
  }
}

function ownStorage() {
  try {
    return window.localStorage;
  } catch {
    return null; // a frame of a foreign origin has none
  }
}

/**
 * What a rater's labels say in this widget. `owns(label)` tells which of them an undo here may take
 * back: a rater's file also holds what was labelled elsewhere.
 */
export class Labels {
  constructor(model, line, onChange, owns = () => true) {
    this.rater = model.get("rater");
    this.line = line;
    this.onChange = onChange;
    this.owns = owns;
    this.others = { ...(model.get("others") ?? {}) };
    this.store = model.get("store") ?? "";
    this.unsaved = new Unsaved(this.rater, this.store);
    this.problem = "";
    this.attempts = 0;
    this.isWaiting = false;
    this.log = mergeLabels(model.get("labels") ?? [], this.unsaved.all());
    line.on("labelled", (message) => this._arrived(message.label));
    this.hear = ({ detail }) => {
      if (detail.rater !== this.rater || detail.store !== this.store) return;
      if (!this._arrived(detail.label)) this.update(); // one that is known: it may be saved now
    };
    window.addEventListener(ARRIVED, this.hear);
    this.update();
  }

  /** The ids of samples that this rater has given a field. */
  having(field) {
    const held = Object.entries(this.held);
    return new Set(held.filter(([, fields]) => fields[field]).map(([id]) => id));
  }

  close() {
    this.isClosed = true;
    window.removeEventListener(ARRIVED, this.hear);
    clearTimeout(this.retry);
    clearTimeout(this.patience);
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
    const label = { label_id: newId(), rater: this.rater, at: new Date().toISOString() };
    Object.assign(label, { item_id: item, item_hash: hash, field });
    Object.assign(label, { old: this.get(item, field) ?? null, new: value ?? null, undo_of: "" });
    this._add(label);
  }

  /** Take back the last label that holds; return the item that it was about. */
  undo() {
    const takenBack = new Set();
    for (const label of [...this.log].reverse()) {
      if (takenBack.has(label.label_id)) continue;
      if (label.undo_of) takenBack.add(label.undo_of);
      else if (this.owns(label)) {
        const undo = { ...label, label_id: newId(), undo_of: label.label_id };
        this._add({ ...undo, at: new Date().toISOString(), old: label.new, new: label.old });
        return label.item_id;
      }
    }
    return null;
  }

  /** The kernel answers: take the labels and raters that it knows, and send what it does not. */
  opened(reply) {
    this.others = reply.others;
    this.log = mergeLabels(JSON.parse(textOf(reply.buffers[0])), this._waiting());
    this.update();
    this._sendAll();
  }

  /** Ask what other raters have said by now. */
  async refreshOthers() {
    if (!this.line.live) return;
    this.others = (await this.line.ask("others")).others;
    this.update();
  }

  export() {
    download(`${this.rater}.jsonl`, this.log.map((label) => `${JSON.stringify(label)}\n`).join(""));
  }

  status() {
    const count = this._waiting().length;
    if (!count) return this.line.live ? "all labels saved" : "no labels yet";
    const place = this.unsaved.isLasting ? "in this browser" : "in this page only";
    if (this.problem)
      return `NOT SAVED: ${this.problem} (${count} kept ${place}; will be sent again)`;
    if (!this.line.live) return `${count} kept ${place}: export them`;
    if (!this.isWaiting) return `saving ${count} …`;
    return `NOT SAVED: the kernel does not answer (${count} kept ${place}; run the cell again)`;
  }

  /** Show in `element` whether everything is saved. */
  showStatus(element) {
    const text = this.status();
    element.textContent = `${this.rater}: ${text}`;
    element.classList.toggle("obv-failed", text.startsWith("NOT SAVED"));
  }

  _add(label) {
    this.log.push(label);
    this.unsaved.add(label);
    this._send(label);
    this.update();
    this._tell(label);
  }

  /** Tell the other widgets of this page about a label that was set or saved. */
  _tell(label) {
    const detail = { rater: this.rater, store: this.store, label };
    window.dispatchEvent(new CustomEvent(ARRIVED, { detail }));
  }

  /** Take a label that another widget, tab or kernel has set; false where it is known. */
  _arrived(label) {
    if (this.log.some((known) => known.label_id === label.label_id)) return false;
    this.log.push(label);
    this.update();
    return true;
  }

  _send(label) {
    this._expectAnswer();
    this.line.ask("label", { label }).then(
      (reply) => this._confirmed(label, reply.label),
      (error) => this._refused(error),
    );
  }

  /** What is not on the disk. A page without a kernel shows all that this browser holds. */
  _waiting() {
    return this.unsaved.all({ ofThisFile: this.line.live });
  }

  _sendAll() {
    for (const label of this._waiting()) this._send(label);
  }

  _confirmed(label, written) {
    this.unsaved.remove(label.label_id);
    if (written && written.label_id !== label.label_id) {
      this.log = this.log.filter((known) => known.label_id !== label.label_id);
      this._arrived(written); // it had been taken back already, in another session
    }
    this.problem = "";
    this.attempts = 0;
    this._expectAnswer();
    this.update();
    this._tell(written ?? label);
  }

  _refused(error) {
    this.problem = error.message;
    clearTimeout(this.retry);
    if (this.isClosed) return;
    this.retry = setTimeout(
      () => this._sendAll(),
      Math.min(MAX_WAIT_MS, 2000 * 2 ** this.attempts++),
    );
    this.update();
  }

  _expectAnswer() {
    this.isWaiting = false;
    clearTimeout(this.patience);
    if (this.isClosed) return;
    this.patience = setTimeout(() => {
      this.isWaiting = this._waiting().length > 0;
      if (this.isWaiting) this.update();
    }, PATIENCE_MS);
  }
}

function newId() {
  return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
}
