"""Pictures that Pillow cannot read: some by packages of the extra `formats`, each for its kind; others by FFmpeg."""

from __future__ import annotations

import io
import math
import re
import resource
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from client.errors import MediaError
from client.media.kinds import Rare
from client.media.pixels import SAMPLE_FORMAT, UNSIGNED, Decoded, check_size, share_there, srgb_picture
from client.media.tiles import model_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Points of a PDF are 1/72 inch; at this many pixels each, small print can be read.
_PDF_PIXELS = 200 / 72
_SVG_REFERENCE = re.compile(
    r"""(?<![\w:-])(?:[\w-]+:)?href\s*=\s*(?:"(?!\s*#|\s*data:)[^"]*"|'(?!\s*#|\s*data:)[^']*')"""
)
_SVG_ROOT = re.compile(r"<(?:\w+:)?svg\b[^>]*>")
_SVG_EDGE = re.compile(r"""\s(width|height)\s*=\s*["']\s*(\d+(?:\.\d+)?)\s*(?:px)?\s*["']""")
_SVG_S = 20
_SRGB_TRANSFER = "iec61966_2_1"
_TAG_BYTES = 12
# Sizes, compression, where strips and tiles lie, and what their numbers mean.
_OF_PIXELS = frozenset(
    (256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 530)
)
# The demuxers of formats of which Pillow does not know every kind.
_FFMPEG_FORMATS = {
    b"BM": "bmp_pipe",
    b"II*\0": "tiff_pipe",
    b"MM\0*": "tiff_pipe",
    b"RIFF": "webp_pipe",
    b"8BPS": "psd_pipe",
    b"\x89PNG": "png_pipe",
    b"GIF8": "gif",
    b"\xff\x4f\xff\x51": "j2k_pipe",
    b"\0\0\0\x0cjP": "j2k_pipe",
    b"DDS ": "dds_pipe",
    b"v/1\x01": "exr_pipe",
}


def read_rare(path: Path, kind: Rare, most: int) -> Decoded:
    """Read a picture that another package is needed for.

    Raises:
        MediaError: it has more than `most` pixels, or cannot be read.
    """
    readers: dict[Rare, Callable[[Path, int], Decoded]] = {
        Rare.JPEG_XL: _read_jpeg_xl,
        Rare.PDF: _read_pdf,
        Rare.SVG: _read_svg,
        Rare.RAW: _read_raw,
    }
    try:
        return readers[kind](path, most)
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        # What these packages raise is their own affair.
        reason = error.args[0] if error.args else error
        if isinstance(reason, bytes):
            reason = reason.decode(errors="replace")
        raise MediaError(f"this {kind} cannot be read ({reason}): damaged, or of an unknown kind?") from error


def _read_jpeg_xl(path: Path, most: int) -> Decoded:
    import pillow_jxl  # noqa: F401, PLC0415 (it registers itself with Pillow; not everybody has it)

    with path.open("rb") as file, Image.open(file, formats=("JXL",)) as image:
        check_size(*image.size, most)
        several = ["an animation: only its first picture was looked at"] if getattr(image, "n_frames", 1) > 1 else []
        return _decoded(image, *image.size, several)


def _read_pdf(path: Path, most: int) -> Decoded:
    import pypdfium2  # noqa: PLC0415 (not everybody has it)

    with pypdfium2.PdfDocument(path) as document:
        pages = len(document)
        width, height = (max(1, round(length * _PDF_PIXELS)) for length in document[0].get_size())
        check_size(width, height, most)
        across, down = model_size(width, height)
        image = document[0].render(scale=_PDF_PIXELS * max(across / width, down / height)).to_pil()
    several = [f"a document of {pages} pages: only the first one was looked at"] if pages > 1 else []
    return _decoded(image, width, height, several)


def _read_svg(path: Path, most: int) -> Decoded:
    import resvg_py  # noqa: PLC0415 (not everybody has it)

    # What it refers to is left out: a drawing from anybody must not show what other files of this machine hold.
    drawing = _SVG_REFERENCE.sub("", path.read_text(encoding="utf-8-sig", errors="replace"))
    root = _SVG_ROOT.search(drawing)
    edges = {name: float(length) for name, length in _SVG_EDGE.findall(root.group())} if root else {}
    if len(edges) == 2:  # before it is drawn, which takes a minute for 400 million pixels
        check_size(round(edges["width"]), round(edges["height"]), most)
    with _cpu_time(_SVG_S):  # filters of a few bytes may draw for hours
        png = bytes(resvg_py.svg_to_bytes(svg_string=drawing))
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        check_size(*image.size, most)
        return _decoded(image, *image.size, [])


@contextmanager
def _cpu_time(limit_s: int) -> Iterator[None]:
    """End this process, a worker, if it works for so much longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = math.ceil(time.process_time()) + limit_s
    if soft == resource.RLIM_INFINITY or most < soft:
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _read_raw(path: Path, most: int) -> Decoded:
    import rawpy  # noqa: PLC0415 (not everybody has it)

    with path.open("rb") as file, rawpy.imread(file) as raw:
        sizes = raw.sizes
        check_size(sizes.width, sizes.height, most)
        # Half of its size needs no demosaicing, and is more than the model sees.
        half = min(sizes.width, sizes.height) >= 2240
        pixels = raw.postprocess(use_camera_wb=True, half_size=half)
    height, width = (length * (2 if half else 1) for length in pixels.shape[:2])
    return _decoded(Image.fromarray(pixels), width, height, [])


def _decoded(image: Image.Image, width: int, height: int, warnings: list[str]) -> Decoded:
    image.load()
    return Decoded(srgb_picture(image, model_size(width, height), image.format or ""), width, height, warnings)


def read_by_ffmpeg(data: bytes, most: int, *, strict: bool) -> Decoded:
    """Read a picture of a kind that only FFmpeg knows; or, if not `strict`, what it can make of a damaged one.

    Raises:
        MediaError: it has more than `most` pixels.
        DECODER_ERRORS: it cannot be read.
    """
    demuxer = next((name for start, name in _FFMPEG_FORMATS.items() if data.startswith(start)), None)
    if demuxer is None:
        raise ValueError("unknown")
    tags: dict[int, Any] = {}
    if demuxer == "tiff_pipe":
        tags = _tiff_tags(data)
        data = _of_pixels_alone(data)
    try:
        with av.open(io.BytesIO(data), "r", format=demuxer, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            check_size(stream.width, stream.height, most)
            stream.thread_type = "NONE"
            options = {"err_detect": "explode"} if strict else {}
            if demuxer == "exr_pipe":
                options["apply_trc"] = _SRGB_TRANSFER  # its numbers are light
            stream.codec_context.options = options
            frame = next((frame for packet in container.demux(stream) for frame in packet.decode()), None)
            if frame is None or (strict and frame.is_corrupt):
                raise ValueError("no picture comes out")
            values = frame.to_ndarray() if "f32" in frame.format.name else None
            if values is not None and tags and tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED:
                # Whole numbers of 32 bits, which it takes for real ones.
                image = Image.fromarray((values.view(values.dtype.str.replace("f", "u")) >> 24).astype(np.uint8))
            else:
                has_alpha = any(component.is_alpha for component in frame.format.components)
                image = Image.fromarray(frame.to_ndarray(format="rgba" if has_alpha else "rgb24"))
    except av.FFmpegError as error:
        raise ValueError(error.strerror or str(error)) from error
    image.getexif()[ExifTags.Base.Orientation] = tags.get(ExifTags.Base.Orientation, 1)
    image = ImageOps.exif_transpose(image)
    return _decoded(image, *image.size, [])._replace(share=1.0 if strict else share_there(image))


def _tiff_tags(data: bytes) -> dict[int, Any]:
    """The tags of the first picture of a TIFF."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    file.seek(directory.next)
    directory.load(file)
    return dict(directory)


def _of_pixels_alone(data: bytes) -> bytes:
    """A TIFF without the tags that say nothing of its pixels: FFmpeg takes those that it does not know for faults.

    Raises:
        ValueError: its tags are cut off.
    """
    order = "<" if data.startswith(b"II") else ">"
    try:
        (begin,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, begin)
        entries = [data[at : at + _TAG_BYTES] for at in range(begin + 2, begin + 2 + count * _TAG_BYTES, _TAG_BYTES)]
        kept = [entry for entry in entries if struct.unpack_from(f"{order}H", entry)[0] in _OF_PIXELS]
    except struct.error as error:
        raise ValueError("its tags are cut off") from error
    listed = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)
    return data[:begin] + listed + data[begin + len(listed) :]
