// Dashboard: how much there is of what; a click on a bar shows its samples in the inspector.
import { bindKeys, fill, h, press, select } from "./ui.mjs";

const MEASURES = { hours: "Hours", clips: "Clips", questions: "Questions" };
const show = (value, measure) =>
  measure === "hours" ? value.toFixed(value < 10 ? 2 : 1) : value.toLocaleString("en");

export default {
  render({ model, el }) {
    const groups = model.get("groups");
    let measure = "clips";
    const body = h("div.obv-split", {});

    function draw() {
      const chosen = model.get("facets") ?? {};
      fill(
        body,
        groups.map(({ name, title, rows }) => {
          const top = Math.max(...rows.map((row) => row[measure]), 1e-9);
          const ordered =
            name === "length" ? rows : [...rows].sort((a, b) => b[measure] - a[measure]);
          const bars = ordered.map((row) => {
            const bar = h(
              "button",
              {
                type: "button",
                "aria-label": `${row.value}: ${show(row[measure], measure)} ${measure}. Show these samples`,
                onclick: () => choose(name, row.value),
              },
              h("span", {}, row.value),
              h("i", { style: `width:${(100 * row[measure]) / top}%` }),
              h("span", {}, show(row[measure], measure)),
            );
            press(bar, chosen[name] === row.value);
            return bar;
          });
          return h(
            "section",
            { "aria-label": title },
            h("h4", {}, title),
            h("div.obv-bars", {}, bars),
          );
        }),
      );
    }

    function choose(name, value) {
      const facets = { ...(model.get("facets") ?? {}) };
      facets[name] = facets[name] === value ? "" : value;
      model.set("facets", facets);
      model.save_changes();
      draw();
    }

    const measures = select("Measure", Object.entries(MEASURES), measure, (value) => {
      measure = value;
      draw();
    });
    const root = h(
      "div.obv.obv-dashboard",
      { role: "group", "aria-label": "Dataset dashboard", tabIndex: -1 },
      h(
        "div.obv-panel",
        {},
        h(
          "div.obv-bar",
          { style: "padding:0" },
          h("h3", {}, model.get("title")),
          h("span.obv-space"),
          measures,
        ),
        body,
      ),
    );
    bindKeys(root, {});
    model.on("change:facets", draw);
    draw();
    el.append(root);
  },
};
