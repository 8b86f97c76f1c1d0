// The planner's panel: controls, and the plan that follows them.
import { makePlan } from "./plan.mjs";
import { bindKeys, fill, h, select } from "./ui.mjs";

const LABELS = {
  fused_loss: "Fused loss",
  compiled: "Compiled layers",
  trains_vision: "Train the vision tower",
};
const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

function controls(data, chosen, update) {
  const pick = (name, values) =>
    select(
      name,
      values.map((value) => [String(value), typeof value === "number" ? number(value) : value]),
      String(chosen[name]),
      (text) =>
        update(
          name,
          values.find((value) => String(value) === text),
        ),
    );
  const epochs = h("input", {
    type: "number",
    min: 1,
    max: 100,
    value: chosen.epochs,
    "aria-label": "Epochs",
    oninput: () => epochs.checkValidity() && epochs.value && update("epochs", Number(epochs.value)),
  });
  const lists = [
    ["Model", pick("model", data.models)],
    ["GPU", pick("gpu", Object.keys(data.gpus))],
    ["GPUs", pick("num_gpus", data.num_gpus)],
    ["Row, tokens", pick("row_tokens", Object.keys(data.rows).map(Number))],
    ["Epochs", epochs],
  ].map(([text, control]) => {
    control.setAttribute("aria-label", text);
    return h("label", {}, text, control);
  });
  const axes = Object.entries(data.axes).map(([name, values]) => {
    const text = LABELS[name] ?? name.replaceAll("_", " ");
    if (values.every((value) => typeof value === "boolean")) {
      const box = h("input", {
        type: "checkbox",
        checked: chosen[name],
        onchange: () => update(name, box.checked),
      });
      return h("label.obv-check", {}, box, text);
    }
    return h("label", {}, text, pick(name, values));
  });
  return h("div.obv-form", {}, lists, axes);
}

function duration(hours) {
  return hours < 1 ? `${number(60 * hours, 1)} min` : `${number(hours, 1)} h`;
}

function tile(name, value, hint, failed = false) {
  return h(
    `div.obv-tile${failed ? ".obv-failed" : ""}`,
    {},
    h("p.obv-name", {}, name),
    h("p.obv-big", {}, value),
    h("p.obv-hint", {}, hint),
  );
}

function tiles(plan, chosen) {
  if (plan.problem) return [h("p.obv-notice", {}, plan.problem)];
  const gpus = `${number(chosen.num_gpus)} GPU${chosen.num_gpus > 1 ? "s" : ""}`;
  return [
    tile(
      "Samples",
      number(plan.num_samples),
      plan.dropped ? `${number(plan.dropped)} too long` : "none too long",
    ),
    tile("Packed rows", number(plan.num_rows), `${number(100 * plan.fill, 1)} % full`),
    tile("Steps", number(plan.num_steps), `of ${number(plan.step_s, 2)} s`),
    tile("Time", duration(plan.hours), `on ${gpus}: ${duration(plan.gpu_hours)} of GPU time`),
    tile(
      "Memory a GPU",
      `${number(plan.peak_gb, 1)} GB`,
      plan.fits
        ? `fits ${number(plan.memory_gb)} GB`
        : `does not fit ${number(plan.memory_gb)} GB: shorter rows, more GPUs or a fused loss`,
      !plan.fits,
    ),
    tile("FLOPs utilisation", `${number(100 * plan.mfu)} %`, "useful work over the peak"),
  ];
}

export default {
  render({ model, el }) {
    const data = model.get("plan_data");
    const chosen = { ...model.get("chosen") };
    const result = h("div.obv-tiles", { role: "status" });
    const show = () => fill(result, tiles(makePlan(data, chosen), chosen));
    const update = (name, value) => {
      chosen[name] = value;
      model.set("chosen", { ...chosen });
      model.save_changes();
      show();
    };
    const root = h(
      "div.obv.obv-planner",
      { role: "group", "aria-label": "Planner", tabIndex: -1 },
      h("div.obv-panel", {}, controls(data, chosen, update), result),
    );
    bindKeys(root, {});
    show();
    el.append(root);
  },
};
