// The stage: what the model saw, frame by frame, or the video around it; and the strip below.
import { formatTime, frameAt, modelCaption, videoCaption } from "./logic.mjs";
import { SPEEDS, stageControls } from "./controls.mjs";
import { TokenGrid } from "./grid.mjs";
import { fill, h, imageUrl, press } from "./ui.mjs";

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
    this._build();
  }

  _build() {
    this.image = h("img.obv-frame", { alt: "", hidden: true });
    this.video = h("video.obv-frame", {
      preload: "metadata",
      playsinline: true,
      hidden: true,
      tabIndex: -1,
    });
    this.squares = new TokenGrid((...place) => this.host.onSquare(...place));
    this.overlay = this.squares.element;
    this.notice = h("p.obv-notice", { role: "note", hidden: true });
    this.screen = h("div.obv-screen", {}, this.video, this.image, this.overlay, this.notice);
    this.caption = h("p.obv-caption", { "aria-live": "off" });
    this.strip = h("div.obv-strip", {
      role: "group",
      "aria-label": "Frames that the model received",
      tabIndex: 0,
    });
    Object.assign(this, stageControls(this));
    this.element = h(
      "section.obv-stage",
      { "aria-label": "Frames" },
      this.controls,
      this.screen,
      this.caption,
      this.strip,
    );
    this.video.addEventListener("error", () => {
      if (this.video.src)
        this._fail("This browser cannot play the file; the frames are decoded without it.");
    });
    this.video.addEventListener("play", () => this._watch());
    this.video.addEventListener("pause", () => this._paused());
    this._showState();
  }

  clear(text) {
    this.video.pause();
    for (const url of this.urls) if (url.startsWith("blob:")) URL.revokeObjectURL(url);
    this.urls = [];
    this.pictures = null;
    this.video.removeAttribute("src");
    this._stopCycle();
    fill(this.strip);
    this.squares.clear();
    this._setImage("");
    this.image.hidden = this.video.hidden = true;
    this.caption.textContent = "";
    this._note(text);
    this._showState();
  }

  /** Show a sample's pictures: {times, pts, all_pts, height, width, rows, columns, exact, video, start, end} and images. */
  show(pictures, images) {
    this.clear("");
    this.pictures = pictures;
    this.urls = images.map((image) => (typeof image === "string" ? image : imageUrl(image)));
    const cells = this.urls.map((url, index) => {
      const label = `Frame ${index + 1} of ${this.urls.length}, ${formatTime(pictures.pts[index])}`;
      return h(
        "button.obv-cell",
        { type: "button", "aria-label": label, title: label, onclick: () => this.setFrame(index) },
        h("img", { src: url, alt: "", loading: "lazy" }),
        h("span", {}, formatTime(pictures.pts[index], 2)),
      );
    });
    fill(this.strip, cells);
    if (pictures.video) this.video.src = pictures.video;
    this.videoButton.disabled = !pictures.video && !pictures.can_decode;
    this.setFrame(0);
    this.setMode(this.videoButton.disabled ? "model" : this.mode);
  }

  /** Show one picture while the frames are still being read. */
  preview(image) {
    this._note("");
    this._setImage(imageUrl(image), true);
    this.image.alt = "The first frame; the others are being read";
    this.image.hidden = false;
    this._say("A preview of the first frame · the frames that the model received are being read …");
  }

  setMode(mode) {
    this.mode = mode;
    this._stopCycle();
    if (this.pictures) {
      const isVideo = mode === "video";
      this.image.hidden = isVideo;
      this.video.hidden = !isVideo;
      this.video.pause();
      if (isVideo) this._seek(this.time);
      else this.setFrame(this.index);
    }
    this._showState();
  }

  setGrid(isOn) {
    this.grid = isOn;
    this._showState();
    this._drawGrid();
  }

  setLoop(isOn) {
    this.loop = isOn;
    this._showState();
  }

  setSpeed(value) {
    this.speed.value = String(value);
    this.video.playbackRate = value;
    if (this.cycle) this._startCycle();
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
    [...this.strip.children].forEach((cell, i) => press(cell, i === this.index));
    this._reveal(this.strip.children[this.index]);
    if (this.mode === "video") return this._seek(this.time);
    this.image.hidden = false;
    this._setImage(this.urls[this.index]);
    this.image.alt = `Frame ${this.index + 1} of ${this.urls.length} that the model received`;
    if (!pictures.exact) this._fetchExact(this.index);
    this._drawGrid();
    this._say(modelCaption(this.pictures, this.index));
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
      if (this.cycle) this._stopCycle();
      else this._startCycle();
    } else if (!this.pictures.video) {
      this._note("This file is not served to the browser: go through its frames with ← and →.");
    } else if (this.video.paused) {
      this._note("");
      this.image.hidden = true;
      this.video.hidden = false;
      this.video.playbackRate = Number(this.speed.value);
      this.video.play().catch((error) => this._fail(error.message));
    } else this.video.pause();
    this._showState();
  }

  pause() {
    this._stopCycle();
    this.video.pause();
  }

  /** Model frames one after the other, at the pace of their times. */
  _startCycle() {
    this._stopCycle();
    const { pts } = this.pictures;
    const gap = pts.length > 1 ? (pts[pts.length - 1] - pts[0]) / (pts.length - 1) : 1;
    const wait = Math.min(2000, Math.max(40, (1000 * gap) / Number(this.speed.value)));
    const [from, to] = this.host.span(this.time);
    const first = frameAt(pts, from);
    const last = Math.max(
      first,
      pts.findLastIndex((time) => time < to),
    );
    this.cycle = setInterval(() => {
      if (this.index < last) this.setFrame(this.index + 1);
      else if (this.loop) this.setFrame(first);
      else this._stopCycle();
    }, wait);
    this._showState();
  }

  _stopCycle() {
    clearInterval(this.cycle);
    this.cycle = 0;
    this._showState();
  }

  /** Follow the playing video by the times of the frames that it really presents. */
  _watch() {
    this._showState();
    const { pictures } = this;
    if (!pictures) return;
    const [from, to] = this.host.span(this.time);
    const again = () => {
      this.video.currentTime = pictures.start + from;
      if (this.video.paused) this.video.play();
    };
    const onFrame = (_, frame) => {
      if (this.pictures !== pictures || this.mode !== "video") return;
      this.time = this._onScreen(frame.mediaTime - pictures.start);
      this._sayVideo("playing");
      this.host.onFrame(this._modelIndex(), this.time);
      const isOver = frame.mediaTime - pictures.start >= to - 0.02;
      if (isOver && this.loop) again();
      else if (isOver) this.video.pause();
      if (!this.video.paused) this.video.requestVideoFrameCallback(onFrame);
    };
    this.video.requestVideoFrameCallback?.(onFrame);
    this.video.onended = () => (this.loop ? again() : this._paused());
  }

  _paused() {
    this._showState();
    if (this.mode !== "video" || !this.pictures || (this.video.ended && this.loop)) return;
    if (!this.video.requestVideoFrameCallback)
      this.time = this._onScreen(this.video.currentTime - this.pictures.start);
    this._freeze(this.time);
  }

  /** The presentation time of the frame that is on screen at a time. */
  _onScreen(time) {
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
    this.time = this._onScreen(time);
    this.video.pause();
    // into the frame, not onto its first instant: browsers round
    const after = all[frameAt(all, this.time) + 1] ?? this.time + 0.02;
    this.video.currentTime = start + (this.time + after) / 2;
    this._sayVideo("");
    this._freeze(this.time);
    this.host.onFrame(this._modelIndex(), this.time);
  }

  /** While paused, show the frame as this package decodes it: that is the one a label is about. */
  async _freeze(time) {
    const { pictures } = this;
    if (!pictures.can_decode || !this.host.isLive())
      return this._sayVideo(pictures.video ? "shown by the browser" : "");
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
    this._setImage(imageUrl(found.image), true);
    this.image.alt = `Frame of the video at ${formatTime(found.time)}`;
    this.image.hidden = false;
    this.video.hidden = true;
    this._sayVideo("decoded frame");
  }

  async _fetchExact(index) {
    const { pictures } = this;
    const image = await this.host.exactFrame(index);
    if (!image || this.pictures !== pictures || this.index !== index || this.mode !== "model")
      return;
    this._setImage(imageUrl(image), true);
    this._say(`${modelCaption(this.pictures, this.index)} · pixel for pixel`);
  }

  _modelIndex() {
    return frameAt(this.pictures.pts, this.time);
  }

  /** Show an image; one that is shown just once is let go when the next one comes. */
  _setImage(url, isOnce = false) {
    if (this.once) URL.revokeObjectURL(this.once);
    this.once = isOnce ? url : "";
    if (url) this.image.src = url;
    else this.image.removeAttribute("src");
  }

  _sayVideo(how) {
    this._say(videoCaption(this.pictures, this.time, how));
  }

  _say(text) {
    this.caption.textContent = text;
  }

  _note(text) {
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  _fail(text) {
    this._note(text);
    if (this.pictures) this._freeze(this.time);
  }

  _reveal(cell) {
    if (!cell) return;
    const { strip } = this;
    const left = cell.offsetLeft - strip.offsetLeft;
    if (left < strip.scrollLeft || left + cell.offsetWidth > strip.scrollLeft + strip.clientWidth) {
      strip.scrollLeft = left - strip.clientWidth / 2 + cell.offsetWidth / 2;
    }
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
    this._showState();
  }

  _showState() {
    press(this.modelButton, this.mode === "model");
    press(this.videoButton, this.mode === "video");
    press(this.gridButton, this.grid);
    press(this.loopButton, this.loop);
    const isPlaying = Boolean(this.cycle) || (this.mode === "video" && !this.video.paused);
    this.playButton.textContent = isPlaying ? "❚❚" : "▶";
    this.overlay.style.display = this.grid && this.mode === "model" && this.pictures ? "" : "none";
    this.screen.dataset.empty = String(!this.pictures);
    this.screen.dataset.small = String(
      Boolean(this.pictures && this.mode === "model" && this.pictures.height < 200),
    );
  }

  close() {
    this.clear("");
  }
}
