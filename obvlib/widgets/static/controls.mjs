// The buttons above a sample's frames.
import { button, h, select } from "./ui.mjs";

export const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2, 4];

/** The controls of a stage by name, and as one bar, `controls`. */
export function stageControls(stage) {
  const modelButton = button("Model frames", "Show the frames that the model received (v)", () =>
    stage.setMode("model"),
  );
  const videoButton = button("Video", "Show the video that the frames come from (v)", () =>
    stage.setMode("video"),
  );
  const gridButton = button("Grid", "Draw the token grid over the frame (g)", () =>
    stage.setGrid(!stage.grid),
  );
  const playButton = button("▶", "Play or pause (space)", () => stage.play());
  const loopButton = button("⟳", "Loop the segment (l)", () => stage.setLoop(!stage.loop));
  const speeds = SPEEDS.map((speed) => [String(speed), `${speed}×`]);
  const speed = select("Speed", speeds, "1", (value) => stage.setSpeed(Number(value)));
  const steps = [
    button("⇤", "Previous segment edge ([)", () => stage.host.edge(-1)),
    button("◂", "Frame back (left arrow)", () => stage.step(-1)),
    playButton,
    button("▸", "Frame on (right arrow)", () => stage.step(1)),
    button("⇥", "Next segment edge (])", () => stage.host.edge(1)),
  ];
  const shown = h(
    "div.obv-group",
    { role: "group", "aria-label": "What is shown" },
    modelButton,
    videoButton,
  );
  const playback = h("div.obv-group", { role: "group", "aria-label": "Playback" }, steps);
  const space = h("span.obv-space");
  const controls = h("div.obv-bar", {}, shown, gridButton, space, playback, loopButton, speed);
  return { controls, modelButton, videoButton, gridButton, playButton, loopButton, speed };
}
