// The screen of a stage: a picture or the video, a notice over it, and a caption for below.
import { h } from "./ui.mjs";

export class FrameScreen {
  /** `overlay` lies over the picture. */
  constructor(overlay) {
    this.image = h("img.obv-frame", { alt: "", hidden: true });
    this.video = h("video.obv-frame", {
      preload: "metadata",
      playsinline: true,
      hidden: true,
      tabIndex: -1,
    });
    this.notice = h("p.obv-notice", { role: "note", hidden: true });
    this.caption = h("p.obv-caption", { "aria-live": "off" });
    this.element = h("div.obv-screen", {}, this.video, this.image, overlay, this.notice);
  }

  clear(text) {
    this.video.removeAttribute("src");
    this.setImage("");
    this.image.hidden = this.video.hidden = true;
    this.say("");
    this.note(text);
  }

  /** Let the picture or the video be what is seen. */
  turnTo(isVideo) {
    this.image.hidden = isVideo;
    this.video.hidden = !isVideo;
  }

  /** Show an image; one that is shown just once is let go when the next one comes. */
  setImage(url, isOnce = false) {
    if (this.once) URL.revokeObjectURL(this.once);
    this.once = isOnce ? url : "";
    if (url) this.image.src = url;
    else this.image.removeAttribute("src");
  }

  say(text) {
    this.caption.textContent = text;
  }

  note(text) {
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }
}
