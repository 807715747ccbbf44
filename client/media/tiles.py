"""How Llama 3.2 Vision cuts a picture into tiles: `MllamaImageProcessor` of transformers, in numbers alone."""

from __future__ import annotations

TILE, MAX_TILES = 560, 4
CANVASES = [
    (TILE * across, TILE * down)
    for across in range(1, MAX_TILES + 1)
    for down in range(1, MAX_TILES + 1)
    if across * down <= MAX_TILES
]
"""(width, height) of its canvases in pixels (`get_all_supported_aspect_ratios`)."""


def model_size(width: int, height: int) -> tuple[int, int]:
    """The size to which the processor would shrink a picture; never larger than it is."""
    if width <= TILE and height <= TILE:
        return width, height
    scale = max(min(across / width, down / height) for across, down in CANVASES)
    if scale >= 1:
        return width, height
    return max(1, round(width * scale)), max(1, round(height * scale))


def tiles(width: int, height: int) -> int:
    """How many tiles a picture of this size takes (`get_optimal_tiled_canvas`).

    The canvas is the smallest of those in which the picture is enlarged the least, or else shrunk the least.
    """
    scales = {canvas: min(canvas[0] / width, canvas[1] / height) for canvas in CANVASES}
    enlarging = [scale for scale in scales.values() if scale >= 1]
    chosen = min(enlarging) if enlarging else max(scales.values())
    return min(across * down for (across, down), scale in scales.items() if scale == chosen) // TILE**2
