// What a run would take, from weights that Python read off its planner (obvlib/widgets/planner_panel.py).

/** The plan of a choice {model, gpu, row_tokens, num_gpus, epochs, …}; {problem} where none can be made. */
export function makePlan(data, chosen) {
  const rows = data.rows[chosen.row_tokens];
  if (!rows?.sizes.length) {
    return {
      problem: `None of the ${data.num_samples} samples fits a row of ${chosen.row_tokens} tokens: choose longer rows.`,
    };
  }
  const axes = Object.keys(data.axes).map((name) => chosen[name]);
  const weights = data.seconds[JSON.stringify([chosen.model, chosen.gpu, axes])];
  const useful = data.useful[JSON.stringify([chosen.model, axes])];
  const memory =
    data.memory[JSON.stringify([chosen.model, chosen.row_tokens, axes])][
      data.num_gpus.indexOf(chosen.num_gpus)
    ];
  const { memory_gb, tflops } = data.gpus[chosen.gpu];
  const sum = (by) =>
    rows.sizes.map((sizes) => sizesOf(sizes).reduce((total, size, i) => total + size * by[i], 0));
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const step = mean(slowest(sum(weights), chosen.num_gpus));
  const steps = Math.ceil(rows.sizes.length / chosen.num_gpus) * chosen.epochs;
  return {
    num_samples: rows.num_samples,
    dropped: data.num_samples - rows.num_samples,
    num_tokens: rows.num_tokens,
    num_rows: rows.sizes.length,
    fill: rows.num_tokens / (rows.sizes.length * chosen.row_tokens),
    num_steps: steps,
    step_s: step,
    hours: (steps * step) / 3600,
    gpu_hours: (steps * step * chosen.num_gpus) / 3600,
    peak_gb: memory,
    fits: memory <= data.share_of_gpu * memory_gb,
    memory_gb,
    mfu: mean(sum(useful)) / (step * tflops * 1e12),
  };
}

/** A row's sizes: one, tokens, patches, tokens squared, patches of a frame squared, anything to see. */
function sizesOf(sizes) {
  return [1, ...sizes, sizes[1] > 0 ? 1 : 0];
}

/** All GPUs wait for the slowest row of their step. */
function slowest(seconds, numGpus) {
  const steps = [];
  for (let i = 0; i < seconds.length; i += numGpus)
    steps.push(Math.max(...seconds.slice(i, i + numGpus)));
  return steps;
}
