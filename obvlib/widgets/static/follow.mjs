// A playing video, followed by the times of the frames that it really presents.

/** Tell a stage which frame is on screen, and loop or stop at the end of the span it is in. */
export function followVideo(stage) {
  stage.showState();
  const { pictures, video } = stage;
  if (!pictures) return;
  const [from, to] = stage.host.span(stage.time);
  const again = () => {
    video.currentTime = pictures.start + from;
    if (video.paused) video.play();
  };
  const onFrame = (_, frame) => {
    // a callback asked for before a pause comes with the next seek, which is no playing
    if (video.paused || stage.pictures !== pictures || stage.mode !== "video") return;
    stage.time = stage.onScreen(frame.mediaTime - pictures.start);
    stage.sayVideo("playing");
    stage.host.onFrame(stage.modelIndex(), stage.time);
    const isOver = frame.mediaTime - pictures.start >= to - 0.02;
    if (isOver && stage.loop) again();
    else if (isOver) video.pause();
    if (!video.paused) video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback?.(onFrame);
  video.onended = () => (stage.loop ? again() : stage.paused());
}
