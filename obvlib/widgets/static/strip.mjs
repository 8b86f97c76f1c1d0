// The strip of frames that the model received, each a button.
import { formatTime } from "./logic.mjs";
import { fill, h, press } from "./ui.mjs";

export class FrameStrip {
  /** `onFrame(index)` hears which frame was chosen. */
  constructor(onFrame) {
    this.onFrame = onFrame;
    this.element = h("div.obv-strip", {
      role: "group",
      "aria-label": "Frames that the model received",
      tabIndex: 0,
    });
  }

  clear() {
    fill(this.element);
  }

  /** Show pictures by their addresses and presentation times. */
  show(urls, pts) {
    const cells = urls.map((url, index) => {
      const label = `Frame ${index + 1} of ${urls.length}, ${formatTime(pts[index])}`;
      return h(
        "button.obv-cell",
        { type: "button", "aria-label": label, title: label, onclick: () => this.onFrame(index) },
        h("img", { src: url, alt: "", loading: "lazy" }),
        h("span", {}, formatTime(pts[index], 2)),
      );
    });
    fill(this.element, cells);
  }

  /** Mark a frame and bring it into view. */
  mark(index) {
    const strip = this.element;
    [...strip.children].forEach((cell, i) => press(cell, i === index));
    const cell = strip.children[index];
    if (!cell) return;
    const left = cell.offsetLeft - strip.offsetLeft;
    if (left < strip.scrollLeft || left + cell.offsetWidth > strip.scrollLeft + strip.clientWidth) {
      strip.scrollLeft = left - strip.clientWidth / 2 + cell.offsetWidth / 2;
    }
  }
}
