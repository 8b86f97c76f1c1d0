"""Reading, cutting and writing video: the only room that touches video files.

In: a file, and times in seconds. Out: frames at those times as arrays, or clips in MP4 that show
what the source shows.
"""

from obvlib.media.clean import open_source
from obvlib.media.cut import DEFAULT_MODE, MODES, Slice, slice_clip
from obvlib.media.looks import correlations, look_at
from obvlib.media.opening import MediaError
from obvlib.media.prepare import METADATA_KEY, Prepared, clip_frames, prepare_clip, prepare_clips
from obvlib.media.read import PacketInfo, VideoInfo, audio, frames_at, packets, probe
from obvlib.media.source import Source
from obvlib.media.write import Encoding, write_video

__all__ = [
    "DEFAULT_MODE", "Encoding", "METADATA_KEY", "MODES", "MediaError", "PacketInfo", "Prepared",
    "Slice", "Source", "VideoInfo", "audio", "clip_frames", "correlations", "frames_at", "look_at",
    "open_source", "packets", "prepare_clip", "prepare_clips", "probe", "slice_clip", "write_video",
]  # fmt: skip
