// Unit tests of the widgets' logic, run by `node --test`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { paceOf } from "../../obvlib/widgets/static/cycle.mjs";
import { hashOfSample, sampleOfHash } from "../../obvlib/widgets/static/links.mjs";
import * as logic from "../../obvlib/widgets/static/logic.mjs";

const TABLE = {
  id: ["a", "b", "c", "d"],
  seconds: [3, 1, 2, 1],
  modality: { values: ["Echo", "CT"], codes: [0, 1, 0, 1] },
};

test("a table's coded columns become values", () => {
  assert.deepEqual(logic.decodeTable(TABLE).modality, ["Echo", "CT", "Echo", "CT"]);
});

test("filters combine, searches need every word, sorting is stable", () => {
  const columns = logic.decodeTable(TABLE);
  const find = (query, more) => logic.filterSamples(columns, query, more).map((i) => columns.id[i]);
  assert.deepEqual(find({}), ["a", "b", "c", "d"]);
  assert.deepEqual(find({ facets: { modality: "CT" } }), ["b", "d"]);
  assert.deepEqual(find({ sort: "seconds" }), ["b", "d", "c", "a"]);
  assert.deepEqual(find({ sort: "seconds", descending: true }), ["a", "c", "b", "d"]);
  const texts = ["the heart beats", "a heart", "beats", "<b>heart</b> beats"];
  assert.deepEqual(find({ text: "heart BEATS" }, { texts }), ["a", "d"]);
  assert.deepEqual(find({ text: '"the heart"' }, { texts }), ["a"]);
  assert.deepEqual(find({ text: "<b>" }, { texts }), ["d"]);
  assert.deepEqual(find({ text: "c" }), ["c"]);
  assert.deepEqual(find({ todo: true }, { judged: new Set(["a", "c"]) }), ["b", "d"]);
  assert.deepEqual(find({ flagged: true }, { flagged: new Set(["c"]) }), ["c"]);
});

test("right, wrong and changed between runs", () => {
  const columns = logic.decodeTable(TABLE);
  const outcomes = [
    ["right", "wrong", "right", ""],
    ["right", "right", "wrong", "right"],
  ];
  const find = (query) =>
    logic.filterSamples(columns, query, { outcomes }).map((i) => columns.id[i]);
  assert.deepEqual(find({ outcome: "wrong" }), ["b", "c"]);
  assert.deepEqual(find({ changed: true }), ["b", "c"]);
});

test("counts, the most frequent value first, empty ones left out", () => {
  assert.deepEqual(logic.countValues(["b", "a", "b", ""]), [
    ["b", 2],
    ["a", 1],
  ]);
});

const label = (label_id, item_id, value, undo_of = "", field = "flag") => ({
  label_id,
  item_id,
  field,
  new: value,
  undo_of,
});

test("labels: the last that was not taken back holds; an undo can be undone", () => {
  const log = [label("1", "x", "a"), label("2", "x", "b"), label("3", "y", "c")];
  assert.deepEqual(logic.standing(log), { x: { flag: "b" }, y: { flag: "c" } });
  log.push(label("4", "x", "a", "2"));
  assert.deepEqual(logic.standing(log), { x: { flag: "a" }, y: { flag: "c" } });
  log.push(label("5", "x", "b", "4"));
  assert.deepEqual(logic.standing(log), { x: { flag: "b" }, y: { flag: "c" } });
  log.push(label("6", "y", null));
  assert.deepEqual(logic.standing(log), { x: { flag: "b" } });
});

test("kappa by hand: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no gives 0.4", () => {
  const pairs = [
    [20, "y", "y"],
    [5, "y", "n"],
    [10, "n", "y"],
    [15, "n", "n"],
  ].flatMap(([n, a, b]) => Array(n).fill([a, b]));
  assert.ok(Math.abs(logic.kappa(pairs) - 0.4) < 1e-12);
  assert.equal(logic.kappa([]), null);
  assert.equal(logic.kappa([["y", "y"]]), null);
});

test("agreement counts only what both labelled, and names where they differ", () => {
  const raters = {
    ada: { x: { v: 1 }, y: { v: 1 }, z: { v: 2 } },
    bob: { x: { v: 1 }, y: { v: 2 }, w: { v: 1 } },
  };
  const [found] = logic.agreement(raters, "v");
  assert.deepEqual([found.raters, found.num, found.differing], [["ada", "bob"], 2, ["y"]]);
});

test("segments: at the threshold counts, a gap of max_gap frames is bridged, one more is not", () => {
  const scores = [0, 0.64, 0, 0, 0.9, 0, 0, 0, 0.7];
  const find = (more) => logic.findSegments(scores, { step: 1, ...more });
  assert.deepEqual(find({ maxGap: 2 }), [
    [1, 4],
    [8, 8],
  ]);
  assert.deepEqual(find({ maxGap: 3 }), [[1, 8]]);
  assert.deepEqual(find({ maxGap: 1 }), [
    [1, 1],
    [4, 4],
    [8, 8],
  ]);
  assert.deepEqual(find({ maxGap: 2, minLength: 1 }), [[1, 4]]);
  assert.deepEqual(find({ threshold: 1.1 }), []);
  assert.throws(() => logic.findSegments([0.1, NaN]), /score 1 is not a number/);
});

test("the frame on screen is the last one not after the time, also at a variable rate", () => {
  const times = [0, 0.1, 0.15, 1.2, 1.21];
  const at = (time) => logic.frameAt(times, time);
  assert.deepEqual(
    [at(-1), at(0), at(0.0995), at(0.12), at(1.1), at(1.2), at(9)],
    [0, 0, 1, 1, 2, 3, 4],
  );
});

test("visual tokens and squares of frames lead to each other", () => {
  const runs = [{ start: 5, first: 0, count: 2, rows: 2, columns: 3 }];
  assert.deepEqual(logic.tokenPlace(runs, 5 + 6 + 4), { patch: 1, row: 1, column: 1 });
  assert.equal(logic.tokenPlace(runs, 4), null);
  assert.equal(logic.tokenPlace(runs, 17), null);
  for (let token = 5; token < 17; token++) {
    const { patch, row, column } = logic.tokenPlace(runs, token);
    assert.equal(logic.tokenAt(runs, patch, row, column), token);
  }
});

test("pieces join the visual tokens of a temporal patch", () => {
  const runs = [{ start: 1, first: 0, count: 2, rows: 1, columns: 2 }];
  const tokens = {
    kinds: [1, 2, 2, 2, 2, 0],
    texts: ["<|vision_start|>", "", "", "", "", "Why"],
    runs,
  };
  assert.deepEqual(
    logic.tokenPieces(tokens).map((piece) => [piece.token, piece.length]),
    [
      [0, 1],
      [1, 2],
      [3, 2],
      [5, 1],
    ],
  );
});

test("times are written as people read them", () => {
  assert.deepEqual(
    [0.0333, 59.5, 61.04, 3723.5, NaN].map((x) => logic.formatTime(x)),
    ["0.033 s", "59.500 s", "1:01.0", "1:02:03.5", "–"],
  );
  assert.equal(logic.formatTime(119.97), "2:00.0");
});

test("a deep link survives any id", () => {
  for (const id of ["v1_0_5000", "a b&c=#d", "ü/<script>"])
    assert.equal(sampleOfHash(hashOfSample(id)), id);
  assert.equal(sampleOfHash("#other"), "");
  assert.equal(sampleOfHash("#sample=%E0%A4%A"), "");
});

test("edges of segments in both directions", () => {
  const segments = [
    [0, 2],
    [2, 5],
  ];
  assert.deepEqual(
    [
      logic.nextEdge(segments, 0, 1),
      logic.nextEdge(segments, 2, 1),
      logic.nextEdge(segments, 2, -1),
      logic.nextEdge(segments, 5, 1),
    ],
    [2, 5, 0, 5],
  );
});

test("segments match known ones once each, from an overlap of one half on", () => {
  assert.deepEqual(
    logic.matchSegments(
      [[0, 10]],
      [
        [5, 10],
        [0, 5],
      ],
    ),
    { matched: 1, found: 1, truth: 2 },
  );
  assert.deepEqual(
    logic.matchSegments(
      [
        [0, 10],
        [0, 10],
      ],
      [[0, 10]],
    ),
    { matched: 1, found: 2, truth: 1 },
  );
  assert.deepEqual(logic.matchSegments([[0, 4.9]], [[0, 10]]), { matched: 0, found: 1, truth: 1 });
  assert.deepEqual(logic.matchSegments([], [[0, 1]]), { matched: 0, found: 0, truth: 1 });
  assert.deepEqual(logic.matchSegments([[3, 3]], []), { matched: 0, found: 1, truth: 0 });
});

test("the least certain frame comes first, labelled ones are left out, unscored ones last", () => {
  const items = [
    { id: "sure", score: 0.99 },
    { id: "none", score: null },
    { id: "unsure", score: 0.55 },
    { id: "done", score: 0.5 },
  ];
  assert.deepEqual(
    logic.labellingOrder(items, (id) => id === "done", 0.5).map((item) => item.id),
    ["unsure", "sure", "none"],
  );
});

test("the loop runs over the segment that the time lies in, else over the whole sample", () => {
  const segments = [
    [-1, 2],
    [2, 5],
  ];
  assert.deepEqual(
    [0, 1.9995, 4.9, 7].map((time) => logic.spanAt(segments, time, 6)),
    [
      [0, 2],
      [2, 5],
      [2, 5],
      [0, 6],
    ],
  );
});

test("what the page knows comes after what the kernel has, each label once", () => {
  const rows = (...ids) => ids.map((label_id) => ({ label_id }));
  assert.deepEqual(logic.mergeLabels(rows("a", "b"), rows("b", "c")), rows("a", "b", "c"));
});

test("captions say which frame is shown, when, and where it differs from what was asked", () => {
  const pictures = {
    times: [0, 0.5],
    pts: [0, 0.45],
    all_pts: [0, 0.45, 0.9],
    height: 56,
    width: 84,
    exact: true,
  };
  assert.equal(
    logic.modelCaption(pictures, 1),
    "Frame 2 of 2 · shown at 0.450 s, asked for 0.500 s · 84 × 56 px · pixel for pixel",
  );
  assert.equal(
    logic.modelCaption({ ...pictures, exact: false }, 0),
    "Frame 1 of 2 · shown at 0.000 s · 84 × 56 px",
  );
  assert.equal(
    logic.videoCaption(pictures, 0.5, "playing"),
    "Video · frame 2 of 3 · 0.500 s · playing",
  );
  assert.equal(
    logic.videoCaption({ ...pictures, start: 7 }, 0.9, ""),
    "Video · frame 3 of 3 · 0.900 s (7.900 s of the source)",
  );
});

test("frames follow their times at the speed, within what can be seen", () => {
  assert.equal(paceOf([0, 1, 2], 1), 1000);
  assert.equal(paceOf([0, 1, 2], 4), 250);
  assert.equal(paceOf([0, 1, 2], 0.1), 2000);
  assert.equal(paceOf([0, 0.01], 1), 40);
  assert.equal(paceOf([3], 2), 500);
});
