"""`fiftyone/images/` and `fiftyone/videos/`: data sets that FiftyOne imports itself, as `fo.types.FiftyOneDataset`.

A data set of it holds one kind of media. A sample has the path of its file, and for each task a text, tags and other
lists as `Classifications`, a sentiment as `Classification`, the parts of a video as `TemporalDetections`, by frames.
Ids are left to FiftyOne, which takes `samples.json` in the form that needs none as long as `metadata.json` names no
version.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import orjson

from client.export.atomic import replacing
from client.export.captions import as_text, english, translations
from client.export.json_array import JsonArray
from client.media.kinds import Kind
from client.record import record_of
from client.sources.source import local_path

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from client.export.captions import Choice
    from client.ledger.results import Results
    from client.record import Record

FOLDER = "fiftyone"
FOLDERS = {Kind.IMAGE: "images", Kind.VIDEO: "videos"}
"""It knows no sound alone."""
_RESERVED = frozenset({"id", "filepath", "tags", "metadata", "media_type", "created_at", "last_modified_at", "frames"})
_FACTS = ("sha256", "duration_sec", "fps", "width", "height")


def write(results: Results, folder: Path, _: Choice, left_out: Counter[str]) -> Path:
    """Write the data sets; sound, and files that are not on this machine, are left out. Gives the folder.

    Raises:
        LedgerError: the ledger cannot be read.
        OSError: it cannot be written.
    """
    target = folder / FOLDER
    with ExitStack() as stack:
        samples: dict[Kind, JsonArray] = {}
        for kind, name in FOLDERS.items():
            (target / name).mkdir(parents=True, exist_ok=True)
            with replacing(target / name / "metadata.json") as metadata:
                metadata.write(orjson.dumps({"info": {"source": "Babelview", "stats": results.stats}}))
            file = stack.enter_context(replacing(target / name / "samples.json"))
            samples[kind] = JsonArray(file, b'{"samples": ', b"}\n")
        for one in results.files():
            record, path = record_of(one, results), local_path(one.uri)
            if record["kind"] == Kind.AUDIO:
                left_out["of sound alone"] += 1
            elif record["kind"] and (not path or one.gone):
                left_out["not on this machine"] += 1
            elif path and record["kind"]:
                samples[Kind(record["kind"])].add(_sample(record, path))
        for array in samples.values():
            array.end()
    return target


def _sample(record: Record, path: Path) -> dict[str, Any]:
    sample = {"filepath": str(path), "tags": [], "metadata": None, "name": record["file"]}
    sample |= {name: record[name] for name in _FACTS if record.get(name) is not None}
    if review := record.get("review"):
        sample["review"] = review["state"]
    for key, answer in record["tasks"].items():
        for name, value in _fields(key, answer, record.get("fps")):
            sample[_name(name, sample)] = value
    return sample


def _fields(key: str, answer: Mapping[str, Any], fps: float | None) -> Iterator[tuple[str, Any]]:
    for name, said in {key: english(answer), **_named(key, translations(answer))}.items():
        if isinstance(said, list) and all(isinstance(item, str) for item in said):
            labels = [{"_cls": "Classification", "label": item} for item in said]
            yield name, {"_cls": "Classifications", "classifications": labels}
        elif text := as_text(said):
            yield name, text
    if answer.get("label"):
        yield f"{key}_label", {"_cls": "Classification", "label": answer["label"]}
    if answer.get("verdict"):
        yield f"{key}_verdict", answer["verdict"]
    if fps and (parts := answer.get("segments")):
        detections = [
            {"_cls": "TemporalDetection", "label": _label(part), "support": _frames(part, fps)} for part in parts
        ]
        yield f"{key}_segments", {"_cls": "TemporalDetections", "detections": detections}


def _named(key: str, texts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{key}_{code}": text for code, text in texts.items()}


def _label(part: Mapping[str, Any]) -> str:
    return as_text(part.get("title") or part.get("text") or part.get("data"))


def _frames(part: Mapping[str, Any], fps: float) -> list[int]:
    """The first and the last frame of a part, counted from 1."""
    first = int(part["start"] * fps) + 1
    return [first, max(first, int(part["end"] * fps))]


def _name(name: str, taken: Mapping[str, Any]) -> str:
    """A name that a field may have: it begins with a letter, and none of FiftyOne's own is it."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", name)
    name = name if name[:1].isalpha() else f"task_{name}"
    while name in taken or name in _RESERVED:
        name += "_"
    return name
