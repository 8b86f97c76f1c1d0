// What raters say of a sample, how well they agree, and where they differ.
import { agreement } from "./logic.mjs";
import { h } from "./ui.mjs";

const COLUMNS = ["raters", "field", "items", "kappa", "they differ on"];
const MAX_DIFFERING = 20;

/** Others' labels of a sample stay hidden until this rater has labelled it. */
export function ratersPanel(labels, id, onOpen) {
  const raters = labels.raters();
  const own = labels.held[id];
  const shown = Object.entries(raters).filter(([name]) => name === labels.rater || own);
  const values = shown.flatMap(([name, items]) => [
    h("dt", {}, name),
    h("dd", {}, Object.entries(items[id] ?? {}).map(tag)),
  ]);
  const rows = ["verdict", "flag"].flatMap((field) =>
    agreement(raters, field).map((pair) => ({ ...pair, field })),
  );
  const hidden = "What others said of this sample shows once you have labelled it.";
  const alone = "There is one rater so far: a second one's agreement with you will show here.";
  return [
    h("dl.obv-facts", {}, values),
    own ? null : h("p.obv-empty", {}, hidden),
    rows.length ? table(rows, onOpen) : h("p.obv-empty", {}, alone),
  ];
}

function tag([field, value]) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return h("span.obv-tag", {}, `${field}: ${text}`);
}

function table(rows, onOpen) {
  const head = COLUMNS.map((name) => h("th", { scope: "col" }, name));
  return h(
    "table.obv-table",
    {},
    h("caption", {}, "Agreement between raters"),
    h("thead", {}, h("tr", {}, head)),
    h(
      "tbody",
      {},
      rows.map((row) => tableRow(row, onOpen)),
    ),
  );
}

function tableRow({ raters, field, num, kappa, differing }, onOpen) {
  const links = differing
    .slice(0, MAX_DIFFERING)
    .map((id) => h("button.obv-link", { type: "button", onclick: () => onOpen(id) }, id));
  const more = differing.length - links.length;
  return h(
    "tr",
    {},
    h("td", {}, raters.join(" and ")),
    h("td", {}, field),
    h("td", {}, String(num)),
    h("td", {}, kappa === null ? "–" : kappa.toFixed(2)),
    h("td", {}, links, more > 0 ? `and ${more} more` : null),
  );
}
