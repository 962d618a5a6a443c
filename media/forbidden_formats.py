"""Which of FFmpeg's demuxers no file is given to, each with its reason; all others are taken.

A list of what is forbidden, as FFmpeg reads hundreds of kinds of file and people have them all. It is the
first of three fences, see ``media_container``: one that is missing here can still open nothing by a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_PLAY_LIST = "a play list or description: names files or addresses to read instead"
_DEVICE = "a device of the machine, not a file"
_SERIES = "a series of pictures, found by a pattern of names"
_SCRIPT = "a script that runs, or opens files, when it is read"
_NEIGHBOUR = "opens a second file beside the first"
_TEXT = "a text: FFmpeg would draw its letters as pictures, or take it for subtitles"
_NO_HEADER = "has no header: whatever the bytes are, they would be taken for pictures or sound"

FORBIDDEN: Mapping[str, str] = MappingProxyType(
    {
        name: reason
        for names, reason in (
            ("hls applehttp concat dash imf sdp rtsp rtp sap webm_dash_manifest redir asx", _PLAY_LIST),
            ("image2 image2pipe alias_pix brender_pix", _SERIES),
            ("alsa oss fbdev kmsgrab v4l2 video4linux2 x11grab xcbgrab lavfi pulse jack sndio", _DEVICE),
            ("android_camera avfoundation bktr decklink dshow gdigrab iec61883 libcdio libdc1394", _DEVICE),
            ("openal vfwcap", _DEVICE),
            ("avisynth vapoursynth", _SCRIPT),
            ("vobsub tedcaptions", _NEIGHBOUR),
            ("tty bin xbin adf idf ffmetadata", _TEXT),
            ("aqtitle ass jacosub lrc mcc microdvd mpl2 mpsub pjs realtext sami scc srt stl", _TEXT),
            ("subviewer subviewer1 vplayer webvtt", _TEXT),
            ("rawvideo bitpacked v210 v210x data codec2raw g722 g723_1 g726 g726le g728 g729", _NO_HEADER),
            (
                "alaw mulaw vidc sln f32be f32le f64be f64le s8 s16be s16le s24be s24le s32be s32le",
                _NO_HEADER,
            ),
            ("u8 u16be u16le u24be u24le u32be u32le", _NO_HEADER),
        )
        for name in names.split()
    }
)
_ONE_PICTURE = "_pipe"  # png_pipe, svg_pipe and their like: single pictures, which Load Image reads
_OPENS_ITSELF = 0x0001  # AVFMT_NOFILE of libavformat/avformat.h: given a name, not bytes


def is_forbidden(name: str, flags: int) -> bool:
    """Whether no file goes to the demuxer of this name, or names with commas between, and AVFMT flags."""
    return bool(flags & _OPENS_ITSELF) or any(
        part in FORBIDDEN or part.endswith(_ONE_PICTURE) for part in name.split(",")
    )
