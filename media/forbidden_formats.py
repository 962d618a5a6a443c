"""Lists FFmpeg's demuxers that must not open any file, each with the reason; all others are allowed.

FFmpeg reads hundreds of formats, and people have files of all of them, so the forbidden ones are listed. This
is the first of three rules, see ``container``: a demuxer that is missing here still opens nothing by a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_PLAY_LIST = "a playlist or description: names files or addresses to read instead"
_DEVICE = "a device of the machine, not a file"
_SERIES = "a series of images, found by a pattern of names"
_SCRIPT = "a script that runs, or opens files, when it is read"
_NEIGHBOUR = "opens a second file beside the first"
_TEXT = "a text: FFmpeg would draw its letters as frames, or read it as subtitles"
_NO_HEADER = "has no header: any bytes at all would be read as video or audio"

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
_SINGLE_IMAGE = "_pipe"  # png_pipe, svg_pipe and others: single images, which Load Image reads
_OPENS_ITSELF = 0x0001  # AVFMT_NOFILE of libavformat/avformat.h: takes a name, not bytes


def is_forbidden(name: str, flags: int) -> bool:
    """Return whether a demuxer is forbidden, by its name, or names separated by commas, and AVFMT flags."""
    return bool(flags & _OPENS_ITSELF) or any(
        part in FORBIDDEN or part.endswith(_SINGLE_IMAGE) for part in name.split(",")
    )
