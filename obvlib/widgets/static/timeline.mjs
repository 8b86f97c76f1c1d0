// The time line of a sample: segments, words, scores and model frames on one axis.
import { formatTime } from "./logic.mjs";
import { fill, h, s } from "./ui.mjs";

const WORD_SCALE = 150; // px a second where there are words to read

/** Words, segments, scores and the model's frames along the sample's time. */
export class TimeLine {
  constructor(onTime) {
    this.onTime = onTime;
    this.lane = h("div.obv-lane");
    this.element = h(
      "section.obv-timeline",
      { "aria-label": "Time line: segments, words, scores and frames", tabIndex: 0 },
      this.lane,
    );
    this.element.hidden = true;
  }

  show(line, pictures) {
    const end = line
      ? line.to - line.from
      : pictures?.all_pts?.length
        ? pictures.all_pts[pictures.all_pts.length - 1] + 0.04
        : 0;
    this.element.hidden = !(end > 0);
    if (this.element.hidden) return;
    this.end = end;
    this.from = line?.from ?? 0;
    this.segments = (line?.segments ?? [])
      .map(([a, b, kind]) => [a - this.from, b - this.from, kind])
      .filter(([a, b]) => b > 0 && a < end);
    const words = (line?.words ?? [])
      .map(([text, a, b]) => [text, a - this.from, b - this.from])
      .filter(([, a, b]) => b > 0 && a < end);
    const room = (this.element.clientWidth || 600) / end;
    this.scale = words.length || line?.scores?.length ? Math.max(WORD_SCALE, room) : room;
    this.lane.style.width = `${Math.ceil(end * this.scale)}px`;
    this.playhead = h("div.obv-head");
    this.words = words.map(([text, a, b]) =>
      this._block("button.obv-word", a, b, text, {
        type: "button",
        tabIndex: -1,
        title: `${text}: ${formatTime(a)} to ${formatTime(b)}`,
        onclick: () => this.onTime(Math.max(0, a)),
      }),
    );
    const parts = this.segments.map(([a, b, kind]) =>
      this._block("div.obv-segment", Math.max(0, a), Math.min(end, b), kind, { title: kind }),
    );
    const ticks = (pictures?.pts ?? []).map((time, i) =>
      h("button.obv-tick", {
        type: "button",
        tabIndex: -1,
        style: `left:${time * this.scale}px`,
        "aria-label": `Model frame ${i + 1} at ${formatTime(time)}`,
        onclick: () => this.onTime(time),
      }),
    );
    fill(
      this.lane,
      parts.length ? h("div.obv-row", {}, parts) : null,
      this.words.length ? h("div.obv-row.obv-words", {}, this.words) : null,
      this._scores(line),
      h("div.obv-row.obv-ticks", {}, ticks),
      this.playhead,
    );
    this.lane.onclick = (event) => {
      if (event.target.closest("button")) return;
      this.onTime((event.clientX - this.lane.getBoundingClientRect().left) / this.scale);
    };
    this.spans = words;
    this.setTime(0);
  }

  _block(spec, a, b, text, attributes) {
    const style = `left:${Math.max(0, a) * this.scale}px;width:${Math.max(3, (b - Math.max(0, a)) * this.scale - 1)}px`;
    return h(spec, { ...attributes, style }, text);
  }

  _scores(line) {
    if (!line?.scores?.length) return null;
    const points = line.score_times.map((time, i) => [
      (time - this.from) * this.scale,
      40 - 40 * line.scores[i],
    ]);
    const width = this.end * this.scale;
    const svg = s("svg", {
      viewBox: `0 0 ${width} 40`,
      width,
      height: 40,
      class: "obv-scores",
      role: "img",
      "aria-label": "Classifier scores",
    });
    svg.append(
      s("polyline", {
        points: points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "),
        class: "obv-line obv-axis-0",
      }),
    );
    if (line.threshold !== null)
      svg.append(
        s("line", {
          x1: 0,
          x2: width,
          y1: 40 - 40 * line.threshold,
          y2: 40 - 40 * line.threshold,
          class: "obv-threshold",
        }),
      );
    return h("div.obv-row", {}, svg);
  }

  setTime(time) {
    if (this.element.hidden) return;
    const left = time * this.scale;
    this.playhead.style.left = `${left}px`;
    this.words.forEach((word, i) =>
      word.classList.toggle("obv-now", this.spans[i][1] <= time + 1e-3 && time < this.spans[i][2]),
    );
    const { element } = this;
    if (left < element.scrollLeft || left > element.scrollLeft + element.clientWidth - 40)
      element.scrollLeft = left - element.clientWidth / 3;
  }
}
