// The conversation token by token, with the label and the positions of each.
import { tokenPieces, tokenPlace } from "./logic.mjs";
import { h, press, s } from "./ui.mjs";

const KIND_NAMES = ["text", "special", "visual", "learned"];
const MAX_CHIPS = 4000;

/** The conversation token by token: special tokens visible, learned ones marked, visual ones joined. */
export function tokensPanel(tokens, onToken) {
  const info = h(
    "p.obv-caption",
    { "aria-live": "polite" },
    "Choose a token to see its number, label and positions.",
  );
  const chips = h("div.obv-tokens", { role: "group", "aria-label": "Tokens in reading order" });
  const elements = new Map();
  const choose = (token) => {
    for (const element of elements.values()) press(element, false);
    const piece = [...elements.keys()].filter((start) => start <= token).pop();
    if (piece !== undefined) press(elements.get(piece), true);
    info.textContent = describeToken(tokens, token);
    const place = tokenPlace(tokens.runs, token);
    chart.mark(token);
    onToken(token, place);
  };
  const pieces = tokenPieces(tokens);
  for (const piece of pieces.slice(0, MAX_CHIPS)) {
    const kind = KIND_NAMES[piece.kind];
    const text =
      piece.kind === 2
        ? `▦ ${piece.length} visual, frames ${piece.patch + 1}`
        : piece.text.replaceAll("\n", "⏎");
    const chip = h(
      `button.obv-token.obv-kind-${kind}`,
      {
        type: "button",
        "aria-pressed": "false",
        title: `${kind} token ${piece.token}`,
        onclick: () => choose(piece.token),
      },
      text || "␣",
    );
    elements.set(piece.token, chip);
    chips.append(chip);
    if (piece.text.includes("\n")) chips.append(h("br"));
  }
  if (pieces.length > MAX_CHIPS)
    chips.append(h("p.obv-empty", {}, `${pieces.length - MAX_CHIPS} more tokens are not drawn.`));
  const chart = positionChart(tokens, choose);
  const counts = `${tokens.ids.length} tokens: ${tokens.num_visual} visual, ${tokens.num_learned} learned`;
  const legend = h(
    "p.obv-legend",
    {},
    KIND_NAMES.map((kind) => h(`span.obv-token.obv-kind-${kind}`, {}, kind)),
    h("span", {}, counts),
  );
  return { parts: [legend, chips, info, chart.element], choose };
}

function describeToken(tokens, token) {
  const [time, height, width] = tokens.positions.map((row) => row[token]);
  const label = tokens.learned[token] ? "learned" : "label −100";
  const place = tokenPlace(tokens.runs, token);
  const where = place
    ? ` · temporal patch ${place.patch + 1}, row ${place.row + 1}, column ${place.column + 1}`
    : ` · “${tokens.texts[token].replaceAll("\n", "⏎")}”`;
  return `Token ${token} · id ${tokens.ids[token]} · ${label} · position time ${time}, height ${height}, width ${width}${where}`;
}

/** The three rows of positions along the tokens. */
function positionChart(tokens, choose) {
  const [width, height] = [600, 110];
  const count = tokens.ids.length;
  const top = Math.max(
    1,
    ...tokens.positions.map((row) => row.reduce((a, b) => Math.max(a, b), 0)),
  );
  const x = (i) => (i / Math.max(1, count - 1)) * width;
  const svg = s("svg", {
    viewBox: `0 -4 ${width} ${height + 8}`,
    class: "obv-chart",
    role: "img",
    "aria-label": `Positions of ${count} tokens on the axes time, height and width, from 0 to ${top}`,
  });
  const names = ["time", "height", "width"];
  tokens.positions.forEach((row, axis) => {
    const points = row.map(
      (value, i) => `${x(i).toFixed(1)},${(height - (value / top) * height).toFixed(1)}`,
    );
    svg.append(s("polyline", { points: points.join(" "), class: `obv-line obv-axis-${axis}` }));
  });
  const mark = s("line", { y1: -4, y2: height + 4, class: "obv-playhead" });
  svg.append(mark);
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    choose(
      Math.min(
        count - 1,
        Math.max(0, Math.round(((event.clientX - box.left) / box.width) * (count - 1))),
      ),
    );
  });
  const key = h(
    "p.obv-legend",
    {},
    "Positions: ",
    names.map((name, axis) => h(`span.obv-key.obv-axis-${axis}`, {}, name)),
    h("span", {}, `0 to ${top}`),
  );
  return {
    element: h("figure.obv-figure", {}, key, svg),
    mark: (token) => ["x1", "x2"].forEach((name) => mark.setAttribute(name, x(token))),
  };
}
