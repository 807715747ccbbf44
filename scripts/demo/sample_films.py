"""Draw sample films: minutes of scenes as H.264 MP4 files, for tasks over time.

    python -m scripts.demo.sample_films films                        # one of a minute and a half
    python -m scripts.demo.sample_films films --count 5 --seconds 180 --seed 7

The same seed draws the same films. What is true of each is kept beside them in `.truth.json`.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.demo.sample_ads import TRUTH, encode, tune
from scripts.demo.world.draw import Style, draw_scene, random_style
from scripts.demo.world.films import RATE, SHORTEST_S, Film, random_film
from scripts.demo.world.scenes import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

SIZES = ((480, 270), (360, 360), (270, 480), (640, 360))
SWAY_S = 6
"""In which the product sways once."""


def plan(seed: int, count: int, length_s: float) -> dict[str, tuple[Film, Style, tuple[int, int]]]:
    """Draw lots for films: by file name what each shows, how it looks, and its size."""
    rng = random.Random(f"films {seed}")
    drawn: dict[str, tuple[Film, Style, tuple[int, int]]] = {}
    for number in range(count):
        film, style = random_film(rng, length_s), random_style(rng)
        drawn[f"f{number + 1:03d}-{style.brand.lower()}.mp4"] = (film, style, SIZES[number % len(SIZES)])
    return drawn


def frames(film: Film, style: Style, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """All frames of a film, uint8 RGB [height, width, 3]."""
    index = 0
    for scene, shown in zip(film.scenes, film.frames, strict=True):
        for _ in range(shown):
            yield draw_scene(scene, style, *size, phase=index / RATE / SWAY_S % 1)
            index += 1


def write_films(folder: Path, seed: int, count: int, length_s: float) -> dict[str, Film]:
    """Draw the films of a seed into `folder`; returns what each shows, by file name.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plan(seed, count, length_s)
    for name, (film, style, size) in drawn.items():
        notes = tune(film.length_s, random.Random(name))
        encode(folder / name, size, Fraction(RATE), frames(film, style, size), notes)
    truth = {name: film for name, (film, _, _) in drawn.items()}
    (folder / TRUTH).write_text(json.dumps({name: asdict(film) for name, film in truth.items()}) + "\n")
    return truth


def read_films(folder: Path) -> dict[str, Film]:
    """What the sample films in `folder` show, by file name; empty if there are none."""
    path = folder / TRUTH
    written: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return {
        name: Film(tuple(Scene(**scene) for scene in film["scenes"]), tuple(film["frames"]))
        for name, film in written.items()
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--count", type=int, default=1, help="how many (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=90.0, help="length of each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same films (default: 1)")
    args = parser.parse_args()
    if args.count < 1 or args.seconds < SHORTEST_S:
        parser.error(f"--count: 1 at least; --seconds: {SHORTEST_S} at least")
    write_films(args.folder, args.seed, args.count, args.seconds)
    print(f"{args.count} films in {args.folder}")


if __name__ == "__main__":
    main()
