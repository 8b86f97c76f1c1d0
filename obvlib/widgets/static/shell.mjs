// How an inspector is laid out: samples at the side; what one shows, and the tabs about it.
import { keysPanel } from "./keys.mjs";
import { tabs } from "./panels.mjs";
import { button, fill, h } from "./ui.mjs";

/** What the tabs hold, by their names. */
export function tabPanels() {
  const names = ["Questions", "Tokens", "Lineage", "Raters", "Keys"];
  const panels = Object.fromEntries(names.map((name) => [name, h("div")]));
  fill(panels.Keys, keysPanel());
  return panels;
}

/** The parts of an inspector by name, and `root`, which holds them and those that `host` made. */
export function inspectorShell(host, title) {
  const heading = h("h4.obv-heading", { "aria-live": "polite" }, "…");
  const sub = h("p.obv-sub");
  const notices = h("div.obv-notices", { role: "status" });
  const about = tabs("About this sample", host.panels, (name) => host.onTab(name));
  const move = [
    button("←", "Previous sample (k)", () => host.browser.step(-1)),
    button("→", "Next sample (j)", () => host.browser.step(1)),
    button("⚄", "A random sample (r)", () => host.browser.random()),
    button("Link", "Copy a link to this sample (c)", () => host.link()),
  ];
  const head = h(
    "header.obv-bar.obv-head-bar",
    {},
    h("div.obv-names", {}, heading, sub),
    h("div.obv-group", {}, move),
  );
  const seen = [host.stage.element, host.timeline.element, host.bar.element];
  const columns = h(
    "div.obv-columns",
    {},
    h("div.obv-left", {}, seen),
    h("div.obv-right", {}, about.element),
  );
  const main = h(
    "main.obv-main",
    { role: "region", "aria-label": "Sample" },
    head,
    notices,
    columns,
  );
  const side = h("div.obv-side", {}, h("h3.obv-title", {}, title), host.browser.element);
  const root = h(
    "div.obv.obv-inspector",
    { tabIndex: -1, role: "group", "aria-label": `Inspector of ${title}` },
    h("div.obv-shell", {}, side, main),
  );
  return { heading, sub, notices, tabs: about, root };
}
