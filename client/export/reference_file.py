"""`results_reference.json`: a list of objects with the field names of the published reference pipeline.

`image_file` or `video_file`, `description_english`, `translation_spanish`, ... The description is the answer to the
task `describe`, or to the first task if that was not asked; further answers stand as `tags_english`, `tags_spanish`.
Beside each stands its verdict (`description_verdict`).
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

import orjson

from client.endpoints.language_names import language_name
from client.export.captions import english, translations
from client.media.kinds import Kind, by_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.ledger.results import Results
    from client.record import Record, TakeRecord

DESCRIBE = "describe"


@contextmanager
def writing(results: Results, file: IO[bytes]) -> Iterator[TakeRecord]:
    """Takes a record at a time."""
    separator = b"[\n  "

    def add(record: Record) -> None:
        nonlocal separator
        line = orjson.dumps(reference_record(record), option=orjson.OPT_INDENT_2)
        file.write(separator + line.replace(b"\n", b"\n  "))
        separator = b",\n  "

    yield add
    file.write(b"[]\n" if separator.startswith(b"[") else b"\n]\n")


def reference_record(record: Record) -> dict[str, Any]:
    """A record under the other names; a manifest's column whose name is taken gets `manifest_` before it."""
    kind = record["kind"] or by_suffix(PurePath(record["file"]).suffix) or Kind.IMAGE
    said: dict[str, Any] = {f"{kind}_file": record["file"]}
    said |= {name: record[name] for name in ("size_mb", "duration_sec", "fps") if name in record}
    tasks = record["tasks"]
    described = DESCRIBE if DESCRIBE in tasks else next(iter(tasks), None)
    for key, task in tasks.items():
        base, translation = ("description", "translation") if key == described else (key, key)
        said[f"{base}_english"] = english(task)
        said[f"{base}_verdict"] = task["verdict"]
        said |= {f"{translation}_{language_name(code)}": text for code, text in translations(task).items()}
    said["generated_tokens"] = sum(task["generated_tokens"] for task in tasks.values())
    said["generation_time_sec"] = round(sum(task["request_time_sec"] for task in tasks.values()), 3)
    said["total_processing_time_sec"] = record.get("total_processing_time_sec")
    if record["error"]:
        said["error"] = record["error"]
    if "gone" in record:
        said["gone"] = True
    return said | {f"manifest_{name}" if name in said else name: v for name, v in record.get("manifest", {}).items()}
