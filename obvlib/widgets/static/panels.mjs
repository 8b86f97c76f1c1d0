// What is known about a sample beside its frames: questions, answers, lineage; and the tabs.
import { h } from "./ui.mjs";

const OUTCOMES = {
  right: "✓ right",
  wrong: "✗ wrong",
  unread: "? not read",
  failed: "! failed",
  answered: "answered",
};

export function badge(outcome) {
  return h(`span.obv-badge.obv-${outcome}`, {}, OUTCOMES[outcome] ?? outcome);
}

/** Tabs: {name: element}. Arrow keys move between them, as readers aloud expect. */
export function tabs(label, panels, onOpen = () => {}) {
  const names = Object.keys(panels);
  const list = h("div.obv-tabs", { role: "tablist", "aria-label": label });
  const prefix = `obv-tab-${Math.random().toString(36).slice(2)}`;
  const open = (name) => {
    names.forEach((other, i) => {
      list.children[i].setAttribute("aria-selected", String(other === name));
      list.children[i].tabIndex = other === name ? 0 : -1;
      panels[other].hidden = other !== name;
    });
    onOpen(name);
  };
  names.forEach((name, i) => {
    const tab = h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `${prefix}-${i}`,
        "aria-controls": `${prefix}-panel-${i}`,
        onclick: () => open(name),
      },
      name,
    );
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.stopPropagation();
      const next = (i + step + names.length) % names.length;
      list.children[next].focus();
      open(names[next]);
    });
    list.append(tab);
    Object.entries({
      role: "tabpanel",
      id: `${prefix}-panel-${i}`,
      "aria-labelledby": `${prefix}-${i}`,
    }).forEach(([key, value]) => panels[name].setAttribute(key, value));
    panels[name].tabIndex = 0;
  });
  const element = h("div.obv-tabbed", {}, list, Object.values(panels));
  open(names[0]);
  return { element, open };
}

/** A sample's caption, questions, and what every run answered. */
export function questionsPanel(detail) {
  const { facts } = detail;
  const parts = [];
  if (facts.caption) parts.push(h("h4", {}, "Caption"), h("p.obv-text", {}, facts.caption));
  if (facts.transcript && facts.transcript !== facts.caption)
    parts.push(h("h4", {}, "What was said"), h("p.obv-text", {}, facts.transcript));
  detail.questions.forEach((question, number) => parts.push(questionCard(question, number)));
  if (!parts.length)
    parts.push(h("p.obv-empty", {}, "This sample has no caption and no question."));
  return parts;
}

function questionCard(question, number) {
  const options = Object.entries(question.options).map(([letter, text]) => {
    const isGold = letter === question.answer;
    const chosen = question.answers
      .filter((answer) => answer.choice === letter)
      .map((answer) => answer.run);
    return h(
      `li${isGold ? ".obv-gold" : ""}`,
      {},
      h("b", {}, letter),
      h("span", {}, text),
      isGold ? h("span.obv-tag", {}, "gold") : null,
      chosen.map((run) => h("span.obv-tag.obv-run", {}, run)),
    );
  });
  return h(
    "article.obv-question",
    {},
    h(
      "h4",
      {},
      `${number + 1}. ${question.question}`,
      question.family ? h("span.obv-tag", {}, question.family) : null,
    ),
    options.length
      ? h("ul.obv-options", {}, options)
      : h(
          "p.obv-text",
          {},
          h("span.obv-tag", {}, "gold"),
          ` ${question.answer || "no gold answer"}`,
        ),
    question.answers.length ? h("div.obv-answers", {}, question.answers.map(answerCard)) : null,
  );
}

function answerCard(answer) {
  const extras = Object.entries(answer.extras ?? {}).map(([name, row]) => {
    const shown = Object.entries(row).filter(
      ([key]) => !["example_id", "example_hash"].includes(key),
    );
    return h(
      "details",
      {},
      h("summary", {}, name),
      h(
        "dl",
        {},
        shown.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, plain(value))]),
      ),
    );
  });
  const controls = (answer.controls ?? []).map((control) =>
    h(
      "li",
      {},
      h("b", {}, control.run),
      badge(control.outcome),
      h(
        "span.obv-rule",
        {},
        control.status === "ok" || !control.status ? control.response : control.reason,
      ),
    ),
  );
  const rule = answer.rule
    ? h("span.obv-rule", {}, `read by ${answer.rule}${answer.choice ? ` as ${answer.choice}` : ""}`)
    : null;
  const said =
    answer.status && answer.status !== "ok" ? answer.reason : answer.response || "(empty answer)";
  return h(
    "div.obv-answer",
    {},
    h("div", {}, h("b", {}, answer.run), badge(answer.outcome), rule),
    h("blockquote", {}, said ?? ""),
    controls.length ? h("ul.obv-controls", { "aria-label": "Controls" }, controls) : null,
    extras,
  );
}

function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What the ledger recorded of the sample, stage by stage. */
export function lineagePanel(rows, facts) {
  const known = Object.entries(facts).filter(([name]) => !["caption", "transcript"].includes(name));
  const list = h(
    "dl.obv-facts",
    {},
    known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, plain(value))]),
  );
  if (!rows.length)
    return [list, h("p.obv-empty", {}, "The ledger has no line about this sample.")];
  const entries = rows.map((row) =>
    h(
      "li",
      {},
      h(
        "div",
        {},
        h("b", {}, row.stage),
        h(`span.obv-badge.obv-${row.status}`, {}, row.status),
        h(
          "span.obv-rule",
          {},
          `${row.at} · ${row.seconds.toFixed(2)} s${row.attempts > 1 ? ` · attempt ${row.attempts}` : ""}`,
        ),
      ),
      row.reason ? h("p.obv-text", {}, row.reason) : null,
      h(
        "details",
        {},
        h("summary", {}, "settings and output"),
        h(
          "pre",
          { tabIndex: 0 },
          JSON.stringify(
            { item: row.item_id, settings: row.settings, output: row.output },
            null,
            1,
          ),
        ),
      ),
    ),
  );
  return [list, h("ol.obv-lineage", {}, entries)];
}
