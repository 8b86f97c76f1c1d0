// The stage: what the model saw, frame by frame, or the video around it; and the strip below.
import { formatTime, frameAt, modelCaption, videoCaption } from "./logic.mjs";
import { SPEEDS, stageControls } from "./controls.mjs";
import { TokenGrid } from "./grid.mjs";
import { Cycle, paceOf } from "./cycle.mjs";
import { followVideo } from "./follow.mjs";
import { FrameScreen } from "./screen.mjs";
import { FrameStrip } from "./strip.mjs";
import { h, imageUrl, press } from "./ui.mjs";

export class Stage {
  /** `host` answers exactFrame(index), videoFrame(time), span(time) and isLive(), and hears onFrame and onSquare. */
  constructor(host) {
    this.host = host;
    this.mode = "model";
    this.grid = false;
    this.loop = true;
    this.index = 0;
    this.time = 0;
    this.pictures = null;
    this.urls = [];
    this.cycle = new Cycle();
    this._build();
  }

  _build() {
    this.squares = new TokenGrid((...place) => this.host.onSquare(...place));
    this.overlay = this.squares.element;
    this.screen = new FrameScreen(this.overlay);
    this.image = this.screen.image;
    this.video = this.screen.video;
    this.strip = new FrameStrip((index) => this.setFrame(index));
    Object.assign(this, stageControls(this));
    this.element = h(
      "section.obv-stage",
      { "aria-label": "Frames" },
      this.controls,
      this.screen.element,
      this.screen.caption,
      this.strip.element,
    );
    this.video.addEventListener("error", () => {
      if (this.video.src)
        this._fail("This browser cannot play the file; the frames are decoded without it.");
    });
    this.video.addEventListener("play", () => followVideo(this));
    this.video.addEventListener("pause", () => this.paused());
    this.showState();
  }

  clear(text) {
    this.video.pause();
    for (const url of this.urls) if (url.startsWith("blob:")) URL.revokeObjectURL(url);
    this.urls = [];
    this.pictures = null;
    this._stopCycle();
    this.strip.clear();
    this.squares.clear();
    this.screen.clear(text);
    this.showState();
  }

  /** Show a sample's pictures: {times, pts, all_pts, height, width, rows, columns, exact, video, start, end} and images. */
  show(pictures, images) {
    this.clear("");
    this.pictures = pictures;
    this.urls = images.map((image) => (typeof image === "string" ? image : imageUrl(image)));
    this.strip.show(this.urls, pictures.pts);
    if (pictures.video) this.video.src = pictures.video;
    this.videoButton.disabled = !pictures.video && !pictures.can_decode;
    this.setFrame(0);
    this.setMode(this.videoButton.disabled ? "model" : this.mode);
  }

  /** Show one picture while the frames are still being read. */
  preview(image) {
    this.screen.note("");
    this.screen.setImage(imageUrl(image), true);
    this.image.alt = "The first frame; the others are being read";
    this.image.hidden = false;
    this.screen.say("A preview of the first frame · the frames that the model received are being read …");
  }

  setMode(mode) {
    this.mode = mode;
    this._stopCycle();
    if (this.pictures) {
      const isVideo = mode === "video";
      this.screen.turnTo(isVideo);
      this.video.pause();
      if (isVideo) this._seek(this.time);
      else this.setFrame(this.index);
    }
    this.showState();
  }

  setGrid(isOn) {
    this.grid = isOn;
    this.showState();
    this._drawGrid();
  }

  setLoop(isOn) {
    this.loop = isOn;
    this.showState();
  }

  setSpeed(value) {
    this.speed.value = String(value);
    this.video.playbackRate = value;
    if (this.cycle.isOn) this._startCycle();
  }

  changeSpeed(step) {
    const at = SPEEDS.indexOf(Number(this.speed.value));
    this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + step))]);
  }

  /** Show the model's frame number `index`. */
  setFrame(index) {
    const { pictures } = this;
    if (!pictures || !this.urls.length) return;
    this.index = Math.min(this.urls.length - 1, Math.max(0, index));
    this.time = pictures.pts[this.index];
    this.strip.mark(this.index);
    if (this.mode === "video") return this._seek(this.time);
    this.image.hidden = false;
    this.screen.setImage(this.urls[this.index]);
    this.image.alt = `Frame ${this.index + 1} of ${this.urls.length} that the model received`;
    if (!pictures.exact) this._fetchExact(this.index);
    this._drawGrid();
    this.screen.say(modelCaption(this.pictures, this.index));
    this.host.onFrame(this.index, this.time);
  }

  /** Show what is on screen at a time of the sample: a model frame, or a frame of the video. */
  setTime(time) {
    if (!this.pictures) return;
    if (this.mode === "video") this._seek(time);
    else this.setFrame(frameAt(this.pictures.pts, time));
  }

  step(by) {
    if (!this.pictures) return;
    this.pause();
    if (this.mode === "model") return this.setFrame(this.index + by);
    const all = this.pictures.all_pts;
    const at = Math.min(all.length - 1, Math.max(0, frameAt(all, this.time) + by));
    this._seek(all[at]);
  }

  play() {
    if (!this.pictures) return;
    if (this.mode === "model") {
      if (this.cycle.isOn) this._stopCycle();
      else this._startCycle();
    } else if (!this.pictures.video) {
      this.screen.note("This file is not served to the browser: go through its frames with ← and →.");
    } else if (this.video.paused) {
      this.screen.note("");
      this.screen.turnTo(true);
      this.video.playbackRate = Number(this.speed.value);
      this.video.play().catch((error) => this._fail(error.message));
    } else this.video.pause();
    this.showState();
  }

  pause() {
    this._stopCycle();
    this.video.pause();
  }

  /** Model frames one after the other, at the pace of their times. */
  _startCycle() {
    const { pts } = this.pictures;
    const [from, to] = this.host.span(this.time);
    const first = frameAt(pts, from);
    const last = pts.findLastIndex((time) => time < to);
    this.cycle.start(paceOf(pts, Number(this.speed.value)), () => {
      if (this.index < Math.max(first, last)) this.setFrame(this.index + 1);
      else if (this.loop) this.setFrame(first);
      else this._stopCycle();
    });
    this.showState();
  }

  _stopCycle() {
    this.cycle.stop();
    this.showState();
  }

  paused() {
    this.showState();
    if (this.mode !== "video" || !this.pictures || (this.video.ended && this.loop)) return;
    if (!this.video.requestVideoFrameCallback)
      this.time = this.onScreen(this.video.currentTime - this.pictures.start);
    this._freeze(this.time);
  }

  /** The presentation time of the frame that is on screen at a time. */
  onScreen(time) {
    const { all_pts: all } = this.pictures;
    return all.length ? all[frameAt(all, time)] : Math.max(0, time);
  }

  /** Stop on the frame in view, and return its time: that is what a label is about. */
  stopAt() {
    this.pause();
    return this.time;
  }

  _seek(time) {
    const { start = 0, all_pts: all } = this.pictures;
    this.time = this.onScreen(time);
    this.video.pause();
    // into the frame, not onto its first instant: browsers round
    const after = all[frameAt(all, this.time) + 1] ?? this.time + 0.02;
    this.video.currentTime = start + (this.time + after) / 2;
    this.sayVideo("");
    this._freeze(this.time);
    this.host.onFrame(this.modelIndex(), this.time);
  }

  /** While paused, show the frame as this package decodes it: that is the one a label is about. */
  async _freeze(time) {
    const { pictures } = this;
    if (!pictures.can_decode || !this.host.isLive())
      return this.sayVideo(pictures.video ? "shown by the browser" : "");
    const found = await this.host.videoFrame(time);
    if (
      !found ||
      this.pictures !== pictures ||
      this.mode !== "video" ||
      !this.video.paused ||
      this.time !== time
    )
      return;
    this.time = found.time;
    this.screen.setImage(imageUrl(found.image), true);
    this.image.alt = `Frame of the video at ${formatTime(found.time)}`;
    this.screen.turnTo(false);
    this.sayVideo("decoded frame");
  }

  async _fetchExact(index) {
    const { pictures } = this;
    const image = await this.host.exactFrame(index);
    if (!image || this.pictures !== pictures || this.index !== index || this.mode !== "model")
      return;
    this.screen.setImage(imageUrl(image), true);
    this.screen.say(`${modelCaption(this.pictures, this.index)} · pixel for pixel`);
  }

  modelIndex() {
    return frameAt(this.pictures.pts, this.time);
  }

  sayVideo(how) {
    this.screen.say(videoCaption(this.pictures, this.time, how));
  }

  _fail(text) {
    this.screen.note(text);
    if (this.pictures) this._freeze(this.time);
  }

  _drawGrid(chosen = this.chosen) {
    this.chosen = chosen;
    if (this.grid && this.pictures) this.squares.draw(this.pictures, this.index, chosen);
    else this.squares.clear();
  }

  /** Mark the square of a visual token, on the frame that it belongs to. */
  point(place) {
    this.grid = true;
    this.chosen = place;
    if (this.mode !== "model") this.setMode("model");
    if (Math.floor(this.index / this.pictures.temporal) !== place.patch)
      this.setFrame(place.patch * this.pictures.temporal);
    this._drawGrid(place);
    this.showState();
  }

  showState() {
    press(this.modelButton, this.mode === "model");
    press(this.videoButton, this.mode === "video");
    press(this.gridButton, this.grid);
    press(this.loopButton, this.loop);
    const isPlaying = this.cycle.isOn || (this.mode === "video" && !this.video.paused);
    this.playButton.textContent = isPlaying ? "❚❚" : "▶";
    this.overlay.style.display = this.grid && this.mode === "model" && this.pictures ? "" : "none";
    this.screen.element.dataset.empty = String(!this.pictures);
    this.screen.element.dataset.small = String(
      Boolean(this.pictures && this.mode === "model" && this.pictures.height < 200),
    );
  }
}
