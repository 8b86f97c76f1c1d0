// The inspector's keys: what they do, and what the tab "Keys" says of them.
import { h } from "./ui.mjs";

const HELP = [
  ["j k ↓ ↑", "next and previous sample"],
  ["r", "a random sample"],
  ["/", "search"],
  ["← →", "frame back and on"],
  ["space", "play or pause"],
  [", .", "slower and faster"],
  ["l", "loop the segment"],
  ["[ ]", "segment edges"],
  ["v", "model frames or video"],
  ["g", "token grid"],
  ["1 2 3", "text fits the pictures: right, wrong, unclear; again to clear"],
  ["f 1 … f 0", "flag by its number; 0 for none"],
  ["m", "mark the frame"],
  ["n e", "write a note, a correction"],
  ["u", "undo"],
  ["c", "copy a link"],
  ["Esc", "leave a text field"],
];

/** The list of keys that the tab shows. */
export function keysPanel() {
  const entries = HELP.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)]);
  return h("dl.obv-keys", {}, entries.flat());
}

/** What each key does in an inspector. Any key but a digit leaves the choice of a flag. */
export function keysOf(inspector) {
  const { bar, browser, stage } = inspector;
  const keys = {
    j: () => browser.step(1),
    k: () => browser.step(-1),
    ArrowDown: () => browser.step(1),
    ArrowUp: () => browser.step(-1),
    r: () => browser.random(),
    "/": () => browser.search.focus(),
    ArrowLeft: () => stage.step(-1),
    ArrowRight: () => stage.step(1),
    " ": () => stage.play(),
    v: () =>
      stage.setMode(stage.mode === "model" && !stage.videoButton.disabled ? "video" : "model"),
    g: () => stage.setGrid(!stage.grid),
    l: () => stage.setLoop(!stage.loop),
    ",": () => stage.changeSpeed(-1),
    ".": () => stage.changeSpeed(1),
    "[": () => inspector.edge(-1),
    "]": () => inspector.edge(1),
    f: () => bar.askFlag(!bar.isFlagging),
    m: () => bar.markFrame(),
    n: () => bar.note.focus(),
    e: () => bar.correction.focus(),
    u: () => bar.undo(),
    c: () => inspector.link(),
    "?": () => inspector.tabs.open("Keys"),
    Escape: () => inspector.root.focus(),
  };
  for (const [key, action] of Object.entries(keys)) {
    keys[key] = () => {
      if (key !== "f") bar.askFlag(false);
      action();
    };
  }
  for (let digit = 0; digit <= 9; digit++) keys[digit] = () => bar.digit(digit);
  return keys;
}
