// The squares of a frame that become visual tokens, drawn over it.
import { fill, s } from "./ui.mjs";

export class TokenGrid {
  /** `onSquare(patch, row, column)` hears which square was clicked. */
  constructor(onSquare) {
    this.onSquare = onSquare;
    this.element = s("svg", { class: "obv-grid", "aria-hidden": "true" });
    this.element.setAttribute("preserveAspectRatio", "none");
  }

  clear() {
    fill(this.element);
  }

  /** Draw the grid of frame `index`; `chosen` is a {patch, row, column} to mark, or null. */
  draw({ rows, columns, width, height, temporal }, index, chosen) {
    const patch = Math.floor(index / temporal);
    this.element.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    this.element.style.setProperty("--ratio", `${width} / ${height}`);
    const squares = Array.from({ length: rows * columns }, (_, i) =>
      this._square(patch, Math.floor(i / columns), i % columns, chosen),
    );
    fill(this.element, squares);
  }

  _square(patch, row, column, chosen) {
    const isChosen = chosen?.patch === patch && chosen.row === row && chosen.column === column;
    const mark = isChosen ? "obv-chosen" : "";
    const square = s("rect", { x: column, y: row, width: 1, height: 1, class: mark });
    square.addEventListener("click", () => this.onSquare(patch, row, column));
    return square;
  }
}
