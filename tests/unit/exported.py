"""Media and ledgers for exports that other tools open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledgers import plan_of, write_run
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

LONG = "A red car stands by the sea. " + "It is very red. " * 40
TAGS = '["Red Car", "blue & <sky>"]'
ANSWERS = {"describe": LONG, "tags": TAGS, "sentiment": "It is positive."}


def make_media(folder: Path) -> list[Path]:
    """Two pictures, one of them in another folder, and a file that is called a video."""
    (folder / "b").mkdir(parents=True)
    Image.new("RGB", (4, 3), "red").save(folder / "a.png")
    Image.new("RGB", (4, 3), "blue").save(folder / "b" / "a.png")
    (folder / "film.mp4").write_bytes(b"no video")
    return [folder / "a.png", folder / "b" / "a.png", folder / "film.mp4"]


def write_answers(output: Path, names: list[Path], answers: dict[str, str], **columns: Any) -> None:
    """A finished run about these files; `columns` are those of a manifest."""
    write_run(output, plan_of(["describe", "tags", "sentiment"]), list(map(str, names)), answers, columns or None)
