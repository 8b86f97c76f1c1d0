// SegmentTuner: the threshold and the gap over a score curve, segments and counts as they follow.
import { findSegments, formatTime, matchSegments } from "./logic.mjs";
import { bindKeys, fill, h, s, select } from "./ui.mjs";

const [WIDTH, HEIGHT] = [1000, 150];
const SLIDERS = [
  ["threshold", "Threshold", 0, 1, 0.01, (x) => x.toFixed(2)],
  ["max_gap", "Gap, frames", 0, 60, 1, String],
  ["min_length_s", "Shortest, s", 0, 30, 0.5, (x) => x.toFixed(1)],
];

export default {
  render({ model, el }) {
    const videos = model.get("videos");
    const names = Object.keys(videos);
    let name = names[0];
    const step = model.get("step_s");
    const curve = h("div", {});
    const numbers = h("div.obv-tiles", { role: "status" });
    const list = h("div.obv-text", {
      tabIndex: 0,
      style: "max-height:90px;overflow:auto",
      role: "region",
      "aria-label": "Segments",
    });
    const settings = () => ({
      threshold: model.get("threshold"),
      maxGap: model.get("max_gap"),
      minLength: model.get("min_length_s"),
      step,
    });
    const sliders = SLIDERS.map(([key, text, min, max, by, show]) => {
      const value = h("b", {}, show(model.get(key)));
      const input = h("input", { type: "range", min, max, step: by, "aria-label": text });
      input.value = model.get(key);
      input.addEventListener("input", () => {
        model.set(key, Number(input.value));
        model.save_changes();
        value.textContent = show(Number(input.value));
        draw();
      });
      model.on(`change:${key}`, () => {
        input.value = model.get(key);
        value.textContent = show(model.get(key));
        draw();
      });
      return h("label", {}, h("span", {}, text, " ", value), input);
    });

    function draw() {
      const { scores, truth } = videos[name];
      const length = Math.max(step, scores.length * step);
      const x = (time) => (time / length) * WIDTH;
      const found = findSegments(scores, settings());
      const svg = s("svg", {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        class: "obv-curve",
        role: "img",
        "aria-label": `Scores of ${name} over ${formatTime(length)}, ${found.length} segments`,
      });
      for (const [start, end] of found)
        svg.append(
          s("rect", { x: x(start), y: 0, width: Math.max(2, x(end) - x(start)), height: HEIGHT }),
        );
      for (const [start, end] of truth ?? [])
        svg.append(
          s("rect", {
            x: x(start),
            y: HEIGHT - 6,
            width: x(end) - x(start),
            height: 6,
            class: "obv-truth",
          }),
        );
      const points = scores.map(
        (score, i) =>
          `${x(i * step).toFixed(1)},${(HEIGHT - 8 - score * (HEIGHT - 16)).toFixed(1)}`,
      );
      svg.append(s("polyline", { points: points.join(" "), class: "obv-line obv-axis-0" }));
      const y = HEIGHT - 8 - model.get("threshold") * (HEIGHT - 16);
      svg.append(s("line", { x1: 0, x2: WIDTH, y1: y, y2: y, class: "obv-threshold" }));
      fill(curve, svg);
      const all = names.map((other) => [
        videos[other],
        findSegments(videos[other].scores, settings()),
      ]);
      const seconds = (segments) =>
        segments.reduce((total, [start, end]) => total + end - start, 0);
      const counts = all
        .map(([video, segments]) => (video.truth ? matchSegments(segments, video.truth) : null))
        .filter(Boolean);
      const sum = (key) => counts.reduce((total, count) => total + count[key], 0);
      fill(
        numbers,
        tile("Segments here", String(found.length), formatTime(seconds(found), 1)),
        tile(
          "In all videos",
          String(all.reduce((total, [, segments]) => total + segments.length, 0)),
          formatTime(
            all.reduce((total, [, segments]) => total + seconds(segments), 0),
            1,
          ),
        ),
        counts.length
          ? tile(
              "F1 at IoU 0.5",
              f1(sum("matched"), sum("found"), sum("truth")),
              `${sum("matched")} of ${sum("truth")} known segments found`,
            )
          : null,
      );
      fill(
        list,
        found.length
          ? found
              .map(([start, end]) => `${formatTime(start, 1)} – ${formatTime(end, 1)}`)
              .join("   ")
          : "No segment: lower the threshold.",
      );
    }

    const video = select(
      "Video",
      names.map((key) => [key, key]),
      name,
      (value) => {
        name = value;
        draw();
      },
    );
    const legend = h(
      "p.obv-legend",
      {},
      h("span.obv-key.obv-axis-0", {}, "score"),
      h("span.obv-key.obv-axis-1", {}, "threshold"),
      h("span", {}, "shaded: segments · bar at the foot: known segments"),
    );
    const root = h(
      "div.obv.obv-tuner",
      { role: "group", "aria-label": "Segment tuner", tabIndex: -1 },
      h(
        "div.obv-panel",
        {},
        h("div.obv-form", {}, h("label", {}, "Video", video), sliders),
        curve,
        legend,
        numbers,
        list,
      ),
    );
    bindKeys(root, {});
    draw();
    el.append(root);

    function tile(title, value, hint) {
      return h(
        "div.obv-tile",
        {},
        h("p.obv-name", {}, title),
        h("p.obv-big", {}, value),
        h("p.obv-hint", {}, hint),
      );
    }

    function f1(matched, foundCount, truth) {
      return foundCount + truth ? ((2 * matched) / (foundCount + truth)).toFixed(2) : "–";
    }
  },
};
