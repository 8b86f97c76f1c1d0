// Frames one after the other without a video.

/** Milliseconds from frame to frame at a speed, by the frames' times; never too fast to see. */
export function paceOf(pts, speed) {
  const gap = pts.length > 1 ? (pts[pts.length - 1] - pts[0]) / (pts.length - 1) : 1;
  return Math.min(2000, Math.max(40, (1000 * gap) / speed));
}

/** Calls a step again and again, until it is stopped. */
export class Cycle {
  isOn = false;

  start(wait, step) {
    this.stop();
    this.isOn = true;
    this.timer = setInterval(step, wait);
  }

  stop() {
    clearInterval(this.timer);
    this.isOn = false;
  }
}
