// What the widgets decide, apart from any page: filtering, labels, segments, frames and tokens.
// Tested with node's own test runner, and against the Python functions of the same rules.

/** Columns as arrays: those of few values arrive as {values, codes}. */
export function decodeTable(table) {
  const columns = {};
  for (const [name, column] of Object.entries(table)) {
    columns[name] = Array.isArray(column)
      ? column
      : column.codes.map((code) => column.values[code]);
  }
  return columns;
}

/** The values of a column with their counts, the most frequent first. */
export function countValues(values) {
  const counts = new Map();
  for (const value of values) if (value !== "") counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

/** A search as the words that must all occur; words in quotation marks stay together. */
export function searchTerms(text) {
  const found = text.toLowerCase().match(/"[^"]+"|\S+/g) ?? [];
  return found.map((term) => term.replace(/^"|"$/g, "")).filter((term) => term !== "");
}

/** Did the outcome change between the first run and any later one? */
export function hasChanged(outcomes, index) {
  const seen = outcomes.map((column) => column[index]).filter((outcome) => outcome !== "");
  return seen.some((outcome) => outcome !== seen[0]);
}

/**
 * Indices of the samples that a query keeps, in its order. `query.facets` maps a column to the value
 * wanted; `outcomes` holds one column a run; `flagged` and `judged` are sets of ids.
 */
export function filterSamples(
  columns,
  query,
  { texts = null, outcomes = [], flagged = new Set(), judged = new Set() } = {},
) {
  const facets = Object.entries(query.facets ?? {}).filter(([, value]) => value !== "");
  const terms = searchTerms(query.text ?? "");
  const found = [];
  for (let i = 0; i < columns.id.length; i++) {
    if (!facets.every(([name, value]) => columns[name][i] === value)) continue;
    if (query.outcome && !outcomes.some((column) => column[i] === query.outcome)) continue;
    if (query.changed && !hasChanged(outcomes, i)) continue;
    if (query.flagged && !flagged.has(columns.id[i])) continue;
    if (query.todo && judged.has(columns.id[i])) continue;
    if (terms.length) {
      const text = (texts ? texts[i] + "\n" : "") + columns.id[i].toLowerCase();
      if (!terms.every((term) => text.includes(term))) continue;
    }
    found.push(i);
  }
  return sortSamples(columns, found, query.sort ?? "", query.descending ?? false);
}

/** The same indices sorted by a column; equal values keep their order. */
export function sortSamples(columns, indices, name, descending) {
  if (name && columns[name]) {
    const column = columns[name];
    const sign = descending ? -1 : 1;
    const isNumeric = typeof column[indices[0]] === "number";
    const compare = (a, b) => (column[a] < column[b] ? -sign : column[a] > column[b] ? sign : 0);
    indices.sort(isNumeric ? (a, b) => sign * (column[a] - column[b]) : compare);
  } else if (descending) indices.reverse();
  return indices;
}

/** What holds of one rater's labels: item → field → value. The rule of obvlib.core.labels. */
export function standing(labels) {
  const takenBack = new Set();
  const decided = new Set();
  const held = {};
  for (const label of [...labels].reverse()) {
    if (takenBack.has(label.label_id)) continue;
    if (label.undo_of) {
      takenBack.add(label.undo_of);
      continue;
    }
    const key = JSON.stringify([label.item_id, label.field]);
    if (decided.has(key)) continue;
    decided.add(key);
    if (label.new !== null && label.new !== undefined)
      (held[label.item_id] ??= {})[label.field] = label.new;
  }
  return held;
}

/** The labels of `known`, then those of `more` that are not among them, each list in its order. */
export function mergeLabels(known, more) {
  const ids = new Set(known.map((label) => label.label_id));
  return [...known, ...more.filter((label) => !ids.has(label.label_id))];
}

/** Cohen's kappa of pairs [a, b] of labels; null without pairs, or where chance alone agrees. */
export function kappa(pairs) {
  if (!pairs.length) return null;
  const share = (side, value) => pairs.filter((pair) => pair[side] === value).length / pairs.length;
  const values = new Set(pairs.flat());
  const observed = pairs.filter(([a, b]) => a === b).length / pairs.length;
  let chance = 0;
  for (const value of values) chance += share(0, value) * share(1, value);
  return chance === 1 ? null : (observed - chance) / (1 - chance);
}

/** For each two raters: on how many items both set `field`, their kappa, and where they differ. */
export function agreement(raters, field) {
  const names = Object.keys(raters).sort();
  const found = [];
  for (let i = 0; i < names.length; i++) {
    for (let j = i + 1; j < names.length; j++) {
      const [one, two] = [raters[names[i]], raters[names[j]]];
      const both = Object.keys(one).filter(
        (id) => one[id][field] !== undefined && two[id]?.[field] !== undefined,
      );
      const pairs = both.map((id) =>
        [one[id][field], two[id][field]].map((value) => JSON.stringify(value)),
      );
      const differing = both.filter((_, k) => pairs[k][0] !== pairs[k][1]);
      found.push({
        raters: [names[i], names[j]],
        num: both.length,
        kappa: kappa(pairs),
        differing,
      });
    }
  }
  return found;
}

/**
 * Segments of scores that stand `step` seconds apart. The rule of obvlib.curation.find_segments: a
 * frame is positive where its score is at least the threshold; more than `maxGap` frames in a row
 * that are not positive end a segment at the time of its last positive frame.
 */
export function findSegments(
  scores,
  { threshold = 0.64, maxGap = 10, minLength = 0, step = 0.5 } = {},
) {
  const segments = [];
  let first = -1;
  let last = -1;
  const close = () => {
    if (first >= 0 && last * step - first * step >= minLength)
      segments.push([first * step, last * step]);
  };
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i])) throw new RangeError(`score ${i} is not a number`);
    if (scores[i] < threshold) continue;
    if (first < 0 || i - last - 1 > maxGap) {
      close();
      first = i;
    }
    last = i;
  }
  close();
  return segments;
}

/** Which of the ascending presentation times is on screen at `time`: the last one not after it. */
export function frameAt(times, time, tolerance = 1e-3) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time + tolerance) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** What a visual token stands for: its temporal patch, row and column; null for any other token. */
export function tokenPlace(runs, token) {
  for (const run of runs) {
    const offset = token - run.start;
    const each = run.rows * run.columns;
    if (offset < 0 || offset >= run.count * each) continue;
    const within = offset % each;
    return {
      patch: run.first + Math.floor(offset / each),
      row: Math.floor(within / run.columns),
      column: within % run.columns,
    };
  }
  return null;
}

/** The token that stands for a square of a frame; -1 where there is none. */
export function tokenAt(runs, patch, row, column) {
  for (const run of runs) {
    if (patch >= run.first && patch < run.first + run.count) {
      return run.start + (patch - run.first) * run.rows * run.columns + row * run.columns + column;
    }
  }
  return -1;
}

/** Tokens as pieces to draw: single tokens, and one piece for each temporal patch of visual ones. */
export function tokenPieces(tokens) {
  const pieces = [];
  for (let i = 0; i < tokens.kinds.length; i++) {
    if (tokens.kinds[i] !== 2) {
      pieces.push({ token: i, length: 1, kind: tokens.kinds[i], text: tokens.texts[i] });
      continue;
    }
    const run = tokens.runs.find((r) => i >= r.start && i < r.start + r.count * r.rows * r.columns);
    const each = run ? run.rows * run.columns : 1;
    const patch = run ? run.first + Math.floor((i - run.start) / each) : 0;
    pieces.push({ token: i, length: each, kind: 2, text: "", patch });
    i += each - 1;
  }
  return pieces;
}

/** Seconds as 3.204 s, or 1:02:03.5 from a minute on. */
export function formatTime(seconds, digits = 3) {
  if (!Number.isFinite(seconds)) return "–";
  if (Math.abs(seconds) < 60) return `${seconds.toFixed(digits)} s`;
  const rounded = Number(seconds.toFixed(1));
  const [hours, minutes] = [Math.floor(rounded / 3600), Math.floor(rounded / 60) % 60];
  const rest = (rounded % 60).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** What is said under a model frame: which it is, when it is on screen, and its size. */
export function modelCaption({ times, pts, height, width, exact }, index) {
  const isLate = Math.abs(times[index] - pts[index]) > 5e-4;
  return [
    `Frame ${index + 1} of ${pts.length}`,
    `shown at ${formatTime(pts[index])}${isLate ? `, asked for ${formatTime(times[index])}` : ""}`,
    `${width} × ${height} px`,
    ...(exact ? ["pixel for pixel"] : []),
  ].join(" · ");
}

/** What is said under the video: which of its frames is on screen, and when. */
export function videoCaption({ all_pts: all, start = 0 }, time, how) {
  const number = all.length ? [`frame ${frameAt(all, time) + 1} of ${all.length}`] : [];
  const place = start ? ` (${formatTime(start + time)} of the source)` : "";
  const said = how ? [how] : [];
  return ["Video", ...number, `${formatTime(time)}${place}`, ...said].join(" · ");
}

/** A time among segment edges: the next one in a direction, or the same time where there is none. */
export function nextEdge(segments, time, direction, tolerance = 1e-3) {
  const edges = [...new Set(segments.flatMap(([start, end]) => [start, end]))].sort(
    (a, b) => a - b,
  );
  const ahead = edges.filter((edge) => (edge - time) * direction > tolerance);
  if (!ahead.length) return time;
  return direction > 0 ? ahead[0] : ahead[ahead.length - 1];
}

/** The segment that a time lies in as [start, end] within 0 to `end`; all of it where in none. */
export function spanAt(segments, time, end, tolerance = 1e-3) {
  const found = segments.find(([a, b]) => a <= time + tolerance && time < b - tolerance);
  return found ? [Math.max(0, found[0]), Math.min(end, found[1])] : [0, end];
}

/** How many segments found overlap a known one by at least `iou`, each known one counted once. */
export function matchSegments(found, truth, iou = 0.5) {
  const left = [...truth];
  let matched = 0;
  for (const [start, end] of found) {
    const overlaps = left.map(([a, b]) => {
      const shared = Math.min(end, b) - Math.max(start, a);
      return shared > 0 ? shared / (Math.max(end, b) - Math.min(start, a)) : 0;
    });
    const best = overlaps.indexOf(Math.max(-1, ...overlaps));
    if (best >= 0 && overlaps[best] >= iou) {
      left.splice(best, 1);
      matched++;
    }
  }
  return { matched, found: found.length, truth: truth.length };
}

/** Items not labelled yet, those whose score is nearest the threshold first; those without a score last. */
export function labellingOrder(items, isLabelled, threshold) {
  const distance = (item) =>
    typeof item.score === "number" ? Math.abs(item.score - threshold) : Infinity;
  return items
    .filter((item) => !isLabelled(item.id))
    .sort((a, b) => distance(a) - distance(b) || (a.id < b.id ? -1 : 1));
}
