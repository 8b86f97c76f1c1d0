// Unit tests of how a page keeps labels, run by `node --test`.
import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.window = new EventTarget();
const { Labels, Line, Unsaved } = await import("../../obvlib/widgets/static/labels.mjs");

/** What browsers offer as localStorage, for `room` entries. */
function storage(room = Infinity) {
  const entries = new Map();
  return {
    get length() {
      return entries.size;
    },
    key: (i) => [...entries.keys()][i],
    getItem: (key) => entries.get(key) ?? null,
    removeItem: (key) => entries.delete(key),
    setItem: (key, value) => {
      if (entries.size >= room) throw new Error("QuotaExceededError");
      entries.set(key, value);
    },
  };
}

/** A widget's model whose kernel answers with `reply(message)`, at once; null never answers. */
function model(traits = {}, reply = () => null) {
  const listeners = new Set();
  const sent = [];
  return {
    sent,
    get: (name) => ({ rater: "ada", labels: [], others: {}, store: "s", ...traits })[name],
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
    send(message) {
      sent.push(message);
      const answer = reply(message);
      if (answer) listeners.forEach((listener) => listener({ number: message.number, ...answer }));
    },
  };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
const saves = (message) => message.kind === "label" && { kind: "answer", label: message.label };

function open(reply = () => null, shared = storage(), traits = {}) {
  window.localStorage = shared;
  const kernel = model(traits, reply);
  const labels = new Labels(kernel, new Line(kernel), null);
  return { kernel, labels };
}

test("two widgets of one page keep each other's labels, and both show them", () => {
  const shared = storage();
  const [one, two] = [open(undefined, shared).labels, open(undefined, shared).labels];
  one.set("x", "h", "flag", "a");
  two.set("y", "h", "flag", "b");
  one.set("z", "h", "flag", "c");
  assert.deepEqual(one.held, { x: { flag: "a" }, y: { flag: "b" }, z: { flag: "c" } });
  assert.deepEqual(two.held, one.held);
  const later = open(undefined, shared).labels;
  assert.deepEqual(later.held, one.held);
  [one, two, later].forEach((labels) => labels.close());
});

test("a label leaves the browser when it is on the disk, not before", async () => {
  const shared = storage();
  const { labels } = open(saves, shared);
  labels.set("x", "h", "flag", "a");
  assert.equal(shared.length, 1);
  await settled();
  assert.equal(shared.length, 0);
  assert.equal(labels.status(), "all labels saved");
  labels.close();
});

test("a label that was refused is kept, said to be unsaved, and sent again in its order", async () => {
  let isFull = true;
  const reply = (message) => (isFull ? { kind: "error", text: "No space left" } : saves(message));
  const { kernel, labels } = open(reply);
  labels.set("x", "h", "flag", "a");
  labels.set("x", "h", "flag", "b");
  await settled();
  assert.match(labels.status(), /^NOT SAVED: No space left \(2 kept in this browser/);
  isFull = false;
  labels._sendAll();
  await settled();
  assert.equal(labels.status(), "all labels saved");
  assert.deepEqual(
    kernel.sent.slice(-2).map((message) => message.label.new),
    ["a", "b"],
  );
  labels.close();
});

test("what was meant for another label file is not sent to this one", async () => {
  const shared = storage();
  const other = open(undefined, shared, { store: "elsewhere" });
  other.labels.set("x", "h", "flag", "theirs");
  const { kernel, labels } = open(saves, shared);
  labels.line.live = true;
  labels.set("y", "h", "flag", "ours");
  labels._sendAll();
  await settled();
  assert.deepEqual([...new Set(kernel.sent.map((message) => message.label.item_id))], ["y"]);
  assert.equal(shared.length, 1);
  labels.close();
  other.labels.close();
});

test("the clock plays no part in the order of unsaved labels", () => {
  const unsaved = new Unsaved("ada", "s", storage());
  unsaved.add({ label_id: "1", at: "2026-01-02" });
  unsaved.add({ label_id: "2", at: "1999-01-01" });
  assert.deepEqual(
    unsaved.all().map((label) => label.label_id),
    ["1", "2"],
  );
});

test("without storage, or with a full one, labels live as long as the page, and it says so", () => {
  for (const shared of [null, storage(0)]) {
    const { labels } = open(undefined, shared);
    labels.set("x", "h", "flag", "a");
    assert.equal(labels.get("x", "flag"), "a");
    assert.equal(labels.status(), "1 kept in this page only: export them");
    labels.close();
  }
});

test("foreign and broken entries of the storage are passed over", () => {
  const shared = storage();
  for (const [key, text] of [
    ["obv-labels/ada/1", "{"],
    ["obv-labels/ada/2", "null"],
    ["theme", "x"],
  ])
    shared.setItem(key, text);
  const unsaved = new Unsaved("ada", "s", shared);
  assert.deepEqual(unsaved.all(), []);
  unsaved.add({ label_id: "3" });
  assert.equal(unsaved.all().length, 1);
});

test("undo takes back the last label that this widget owns, and can be pressed again", () => {
  window.localStorage = storage();
  const kernel = model();
  const labels = new Labels(kernel, new Line(kernel), null, (label) => label.field === "flag");
  labels.set("x", "h", "flag", "a");
  labels.set("y", "h", "flag", "b");
  labels.set("q", "h", "decision", "elsewhere");
  assert.equal(labels.undo(), "y");
  assert.equal(labels.undo(), "x");
  assert.equal(labels.undo(), null);
  assert.deepEqual(labels.held, { q: { decision: "elsewhere" } });
  labels.close();
});

test("an undo that another session had done already is shown as theirs", async () => {
  const theirs = { label_id: "u1", item_id: "x", field: "flag", undo_of: "1", new: null };
  const first = { label_id: "1", item_id: "x", field: "flag", new: "a", undo_of: "" };
  const { labels } = open(() => ({ kind: "answer", label: theirs }), storage(), {
    labels: [first],
  });
  labels.undo();
  await settled();
  assert.deepEqual(
    labels.log.map((label) => label.label_id),
    ["1", "u1"],
  );
  assert.deepEqual(labels.held, {});
  labels.close();
});
