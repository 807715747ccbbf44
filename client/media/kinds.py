"""What a file is, by its first bytes; its name is only a hint."""

from __future__ import annotations

import codecs
from enum import StrEnum
from functools import cache
from importlib.util import find_spec

HEAD_BYTES = 512
"""How much of a file `sniff` wants to see."""


class Kind(StrEnum):
    """What a file shows, as the record names it."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    """Sound alone."""


SEEN = (Kind.IMAGE, Kind.VIDEO)
"""Kinds of files that have something to be seen."""


class Rare(StrEnum):
    """Kinds of pictures that packages of the extra `formats` read, each of its own."""

    JPEG_XL = "JPEG XL"
    PDF = "PDF"
    SVG = "SVG drawing"
    RAW = "camera's raw picture"


class Animated(StrEnum):
    """What becomes of a picture that moves."""

    VIDEO = "video"
    """It is asked about as the video that it is."""
    FIRST = "first"
    """It is asked about as a picture, its first one."""


# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".avif", ".heic", ".heif", ".hif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".mpo",
    ".psd", ".tga", ".ico", ".qoi", ".pcx", ".sgi", ".dds", ".exr",
})
RAW_SUFFIXES = frozenset({
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw", ".3fr",
    ".erf", ".kdc", ".dcr", ".mrw", ".x3f", ".iiq", ".rwl",
})
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts",
    ".vob", ".flv", ".f4v", ".wmv", ".asf", ".ogv", ".3gp", ".3g2", ".mxf", ".divx", ".y4m", ".m1v", ".mpe", ".mjpg",
    ".mjpeg", ".dv", ".rm", ".rmvb", ".nut", ".ivf", ".264", ".h264", ".265", ".h265", ".hevc", ".obu",
})
AUDIO_SUFFIXES = frozenset({
    ".mp3", ".m4a", ".m4b", ".aac", ".wav", ".flac", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff", ".amr", ".mka",
    ".weba",
})
# fmt: on
_RARE_SUFFIXES = {".jxl": Rare.JPEG_XL, ".pdf": Rare.PDF, ".svg": Rare.SVG} | dict.fromkeys(RAW_SUFFIXES, Rare.RAW)
_RARE_PACKAGES = {Rare.JPEG_XL: "pillow_jxl", Rare.PDF: "pypdfium2", Rare.SVG: "resvg_py", Rare.RAW: "rawpy"}
_AMBIGUOUS_SUFFIXES = frozenset({".ts", ".mts", ".qt", ".dv", ".rm", ".obu", ".nut", ".264", ".265"})
"""Of videos, and of text as well: TypeScript, translations, notes."""
_OGG_SUFFIXES = frozenset({".ogg", ".ogx", ".ogm"})
"""Of sound, mostly, and of video."""
_OGG_VIDEO = (b"\x80theora", b"\x01video\0", b"BBCD\0", b"OVP80", b"\x80daala")
"""How the first page of a video in Ogg begins."""

_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_SOUND_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
_JPEG_START = b"\xff\xd8\xff"
_PICTURE_STARTS = (
    _JPEG_START,
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # and without its wrapping
    b"8BPS",  # Photoshop
    b"qoif",
    b"DDS |",
    b"\x01\xda\0\1",  # SGI, plain or packed
    b"\x01\xda\1\1",
    b"v/1\x01",  # OpenEXR
)
_VIDEO_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\0\0\x01\xba",  # MPEG program stream
    b"\0\0\x01\xb3",  # MPEG video
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"YUV4MPEG2 ",
    b".RMF\0",  # RealMedia
    b"DKIF",  # IVF: bare VP8, VP9, AV1
    b"nut/multimedia container",
    b"\0\0\0\x01\x67",  # bare H.264: its parameters
    b"\0\0\0\x01\x40\x01",  # bare HEVC
)
_SOUND_STARTS = (b"ID3", b"fLaC", b"OggS", b"#!AMR")
_MOVIE_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"pnot")
_OTHER_KINDS = {
    (b"<!doctype html", b"<!--", b"<html", b"<head", b"<script"): "this is an HTML page (a download that went wrong?)",
    (b"<?xml", b"<error", b"{", b"["): "this is a text file (a download that went wrong?)",
}
_RARE_STARTS = {(b"\xff\x0a", b"\0\0\0\x0cJXL "): Rare.JPEG_XL, (b"%pdf",): Rare.PDF, (b"<svg",): Rare.SVG}
_TS_PACKET = 188


def sniff(head: bytes) -> Kind | None:
    """The kind that the first `HEAD_BYTES` bytes of a file speak of; None where they say nothing clear."""
    if head.startswith(_PICTURE_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return Kind.IMAGE
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():  # PBM, PGM, PPM, some of them text
        return Kind.IMAGE
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return Kind.IMAGE
    if head[4:8] == b"ftyp" and head[8:12] in _SOUND_BRANDS:
        return Kind.AUDIO
    moving = (
        head.startswith(_VIDEO_STARTS)
        or (head[:4] == b"OggS" and any(start in head for start in _OGG_VIDEO))
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or head[4:8] in _MOVIE_ATOMS
        or _is_transport_stream(head)
    )
    if moving:
        return Kind.VIDEO
    return Kind.AUDIO if head.startswith(_SOUND_STARTS) or _is_wave(head) or _is_mpeg_audio(head) else None


def _is_wave(head: bytes) -> bool:
    """Whether it is a WAV or an AIFF file."""
    return (head[:4], head[8:12]) in ((b"RIFF", b"WAVE"), (b"RF64", b"WAVE"), (b"FORM", b"AIFF"), (b"FORM", b"AIFC"))


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether it begins with a frame of MP3 (layer III, a bit rate and a sample rate that there are) or of AAC."""
    if len(head) < 4 or head[0] != 0xFF:
        return False
    if head[1] & 0xF6 == 0xF0:  # ADTS
        return head[2] >> 2 & 0xF < 13
    return head[1] & 0xE6 == 0xE2 and head[1] & 0x18 != 0x08 and 0 < head[2] >> 4 < 15 and head[2] >> 2 & 3 < 3


def _is_transport_stream(head: bytes) -> bool:
    # One 0x47 may be chance, two a packet apart are not. M2TS puts four bytes of clock before each packet.
    return any(
        len(head) > start + step and head[start] == head[start + step] == 0x47
        for start, step in ((0, _TS_PACKET), (4, _TS_PACKET + 4))
    )


def may_be_animated(suffix: str) -> bool:
    """Whether pictures under this suffix, or without one, may move."""
    return suffix.lower() in ("", ".gif", ".webp", ".png", ".apng", ".avif", ".heic", ".heif", ".hif")


def is_motion_jpeg(suffix: str) -> bool:
    """Whether a file that begins with a JPEG is, by the suffix of its name, many of them: nothing else tells."""
    return suffix.lower() in (".mjpg", ".mjpeg")


def by_suffix(suffix: str) -> Kind | None:
    """The kind that a file name's suffix (with its dot) promises; of `Rare` ones, if they can be read here.

    One that may be sound or video is taken for sound.
    """
    suffix = suffix.lower()
    rare = _RARE_SUFFIXES.get(suffix)
    if suffix in IMAGE_SUFFIXES or (rare and is_readable(rare)):
        return Kind.IMAGE
    if suffix in VIDEO_SUFFIXES:
        return Kind.VIDEO
    return Kind.AUDIO if suffix in AUDIO_SUFFIXES else None


def is_told_by_content(suffix: str) -> bool:
    """Whether a file with this suffix is, or is not, a picture, video or sound by its content alone."""
    return not suffix or suffix[1:].isdigit() or suffix.lower() in _AMBIGUOUS_SUFFIXES | _OGG_SUFFIXES


def kind_by_content(head: bytes, suffix: str) -> Kind | None:
    """The kind of a file of `is_told_by_content`, by its first `HEAD_BYTES` bytes; None: it is none of them."""
    named = suffix.lower() in _AMBIGUOUS_SUFFIXES and not _is_text(head)
    return sniff(head) or (Kind.VIDEO if named else None)


def _is_text(head: bytes) -> bool:
    """Whether it reads as text: UTF-8 without control characters; the last character may be cut off."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\r\f" for character in text)


def rare_kind(head: bytes, suffix: str) -> Rare | None:
    """The kind of a picture that a package of its own is needed for."""
    suffix = suffix.lower()
    if head.startswith(_JPEG_START) and suffix not in RAW_SUFFIXES:
        return None
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for starts, kind in _RARE_STARTS.items():
        if text.startswith(starts) or head.startswith(starts):
            return kind
    if text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text:
        return Rare.SVG
    # Many of them begin as a TIFF does, or as no other file: their name must tell.
    raw = head[:2] in (b"II", b"MM") or head[4:12] == b"ftypcrx " or (sniff(head) is None and any(head))
    return Rare.RAW if suffix in RAW_SUFFIXES and raw and not _is_text(head) else None


@cache
def is_readable(kind: Rare) -> bool:
    """Whether the package that reads this kind is installed."""
    return find_spec(_RARE_PACKAGES[kind]) is not None


def describe_other(head: bytes) -> str | None:
    """What a file that is no picture, video or sound is instead, where it can be told; for error messages."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty"
    if not any(head):
        return "the file holds only zeros (a download or copy that was interrupted?)"
    for starts, what in _OTHER_KINDS.items():
        if text.startswith(starts) or head.startswith(starts):
            return what
    return "this is a text file, not a picture, video or sound" if b"\n" in head and _is_text(head) else None
