"""The only package that touches video files: what they are, the frames and sound they hold, and cutting clips out of them.

`read` looks, `write` writes, `slices` cuts, `prepare` makes the clips that models read. All of them share one clock: time 0 is the
first presented video frame.
"""

from obvlib.media.prepare import Prepared, clip_frames, prepare_clip, prepare_clips
from obvlib.media.read import PacketInfo, VideoInfo, audio, frames_at, packets, probe
from obvlib.media.slices import MODES, Slice, slice_clip
from obvlib.media.source import MediaError, Source, open_source
from obvlib.media.write import write_video

__all__ = [
    "MODES",
    "MediaError",
    "PacketInfo",
    "Prepared",
    "Slice",
    "Source",
    "VideoInfo",
    "audio",
    "clip_frames",
    "frames_at",
    "open_source",
    "packets",
    "prepare_clip",
    "prepare_clips",
    "probe",
    "slice_clip",
    "write_video",
]
