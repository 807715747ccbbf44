"""Pictures of many kinds as the client reads them, beside ImageMagick: the share on which both agree, by kind.

    python -m scripts.picture_oracle                      pictures that are made here, of each format and its variants
    python -m scripts.picture_oracle FOLDER ...           those in folders, such as the tests of other packages
    python -m scripts.picture_oracle --convert /usr/bin/convert

Both give the picture upright, in sRGB, on white, at the size at which the client sends it. They agree if the mean
difference is at most `MOST` of 255; ImageMagick (version 6 or 7) must be installed. What one of them cannot read is
counted beside. Animations are compared by their first frame. Exit code 1 if they differ on a picture made here.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from client.errors import MediaError
from client.media.image import load_image
from client.media.load import identify
from scripts.benchmarks.common.cli import run

MOST = 4.0
TIMEOUT_S = 60
WIDTH, HEIGHT = 160, 96
_TRANSPARENT = ("-alpha", "set", "-channel", "A", "-evaluate", "multiply", "0.5", "+channel")
VARIANTS = {
    "JPEG": (
        "jpg",
        ("",),
        ("-quality", "60"),
        ("-interlace", "JPEG"),
        ("-colorspace", "Gray"),
        ("-colorspace", "CMYK"),
    ),
    "JPEG, turned": ("jpg", *(("-orient", each) for each in ("TopRight", "BottomRight", "LeftTop", "RightBottom"))),
    "PNG": (
        "png",
        ("",),
        ("-depth", "16"),
        ("+dither", "-colors", "16"),
        ("-colorspace", "Gray"),
        ("-interlace", "PNG"),
        _TRANSPARENT,
    ),
    "GIF": ("gif", ("",), ("-interlace", "GIF"), ("+dither", "-colors", "4")),
    "WebP": ("webp", ("",), ("-define", "webp:lossless=true"), (*_TRANSPARENT, "-define", "webp:lossless=true")),
    "BMP": (
        "bmp",
        ("",),
        ("+dither", "-colors", "16", "-type", "Palette"),
        ("+dither", "-compress", "RLE", "-colors", "16"),
    ),
    "TIFF": (
        *("tiff", ("",), ("-compress", "LZW"), ("-compress", "JPEG"), ("-depth", "16"), ("-colorspace", "CMYK")),
        *(("-compress", "Zip"), ("-colorspace", "Gray", "-depth", "8"), ("-monochrome", "-compress", "Group4")),
    ),
    "AVIF": ("avif", ("",)),
    "HEIC": ("heic", ("",)),
    "PPM and its like": ("ppm", ("",), ("-compress", "None"), ("-depth", "16")),
    "PGM, PBM": ("pnm", ("-colorspace", "Gray"), ("-monochrome",)),
    "TGA": ("tga", ("",), ("-compress", "RLE"), _TRANSPARENT),
    "PSD": ("psd", ("",), ("-compress", "RLE"), ("-colorspace", "CMYK"), ("-depth", "16")),
    "JPEG 2000": ("jp2", ("",), ("-quality", "40")),
    "PCX": ("pcx", ("",), ("+dither", "-colors", "16")),
    "SGI": ("sgi", ("",), ("-compress", "RLE")),
    "DDS": ("dds", ("",), ("-define", "dds:compression=none")),
    "ICO": ("ico", ("-resize", "64x64!")),
}
"""By kind: a suffix, and options with which ImageMagick writes files of it."""


class Oracle:
    """ImageMagick."""

    def __init__(self, program: str) -> None:
        """`program` is its `convert`, or `magick`."""
        self._program = program

    def write(self, source: Path, options: tuple[str, ...], file: Path) -> bool:
        """Make a file; whether that is possible with how it was built."""
        done = self._run(str(source), *filter(None, options), str(file))
        return done.returncode == 0 and file.exists()

    def read(self, file: Path, size: tuple[int, int]) -> np.ndarray | None:
        """A file's first picture at a size: uint8 RGB [height, width, 3]; None if it cannot be read."""
        flat = ("-auto-orient", "-colorspace", "sRGB", "-background", "white", "-flatten", "-alpha", "off", "-strip")
        resize = ("-filter", "Box", "-resize", f"{size[0]}x{size[1]}!", "-depth", "8")
        done = self._run(f"{file}[0]", *flat, *resize, "png24:-")
        if done.returncode or not done.stdout:
            return None
        return np.asarray(Image.open(io.BytesIO(done.stdout)).convert("RGB"))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run([self._program, *arguments], capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess([], 1, b"", b"")


def compare(file: Path, oracle: Oracle) -> tuple[str, float]:
    """What both make of a file, in a word, and the mean difference of 255 where both read it."""
    try:
        jpeg = load_image(file).jpegs[0]
    except MediaError:
        return "read by neither" if oracle.read(file, (8, 8)) is None else "refused here", 0.0
    ours = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float32)
    theirs = oracle.read(file, (ours.shape[1], ours.shape[0]))
    if theirs is None:
        return "read here alone", 0.0
    difference = float(np.abs(ours - theirs).mean())
    return "agree" if difference <= MOST else "differ", difference


def make(folder: Path, oracle: Oracle) -> dict[str, list[Path]]:
    """Pictures of each kind that this ImageMagick can write."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([columns * 255 // WIDTH, rows * 255 // HEIGHT, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    pixels[:24, :40] = (220, 30, 30)  # so that a turned one is told from an upright one
    source = folder / "source.png"
    Image.fromarray(pixels).save(source)
    made: dict[str, list[Path]] = {}
    for kind, (suffix, *variants) in VARIANTS.items():
        files = [(folder / f"{kind.replace(' ', '-')}{number}.{suffix}", it) for number, it in enumerate(variants)]
        made[kind] = [file for file, options in files if oracle.write(source, tuple(options), file)]
    return made


def found(folders: list[Path]) -> dict[str, list[Path]]:
    """The pictures in folders, by suffix."""
    by_suffix: dict[str, list[Path]] = defaultdict(list)
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        if identify(path).problem is None and identify(path).kind == "image":
            by_suffix[path.suffix.lower()].append(path)
    return dict(by_suffix)


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--convert", default="convert", metavar="PROGRAM", help="ImageMagick (default: convert)")
    options = parser.parse_args()
    oracle = Oracle(options.convert)
    failed = False
    with tempfile.TemporaryDirectory(prefix="oracle-") as name:
        kinds = found(options.folders) if options.folders else make(Path(name), oracle)
        for kind, files in kinds.items():
            outcomes = [(file, *compare(file, oracle)) for file in files]
            counts = Counter(outcome for _, outcome, _ in outcomes)
            print(f"{kind}: " + (", ".join(f"{times} {what}" for what, times in counts.items()) or "not written here"))
            for file, outcome, difference in outcomes:
                if outcome != "agree":
                    print(f"    {file.name}: {outcome}" + (f" by {difference:.1f}" if difference else ""))
            failed = failed or "differ" in counts
    if failed and not options.folders:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
