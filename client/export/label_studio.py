"""`label-studio/`: tasks with predictions for Label Studio, pictures, videos and sound apart, each with its interface.

`images.json` is imported into a project whose labelling interface is `images.xml`, and so on.
What the model said stands in text fields to correct, an item of a list in a field of its own; a sentiment is a choice.
Local files are named as Label Studio serves them from the disk, with `/` as its document root.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

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

FOLDER = "label-studio"
FILES = {Kind.IMAGE: "images", Kind.VIDEO: "videos", Kind.AUDIO: "sounds"}
_TAGS = {Kind.IMAGE: "Image", Kind.VIDEO: "Video", Kind.AUDIO: "Audio"}
LABELS = ("positive", "negative", "neutral", "mixed")
"""Of a sentiment."""
SERVED = "/data/local-files/?d="


def write(results: Results, folder: Path, _: Choice, __: Counter[str]) -> Path:
    """Write tasks and interfaces; gives the folder.

    Raises:
        LedgerError: the ledger cannot be read.
        OSError: it cannot be written.
    """
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    fields: dict[Kind, dict[str, str]] = {kind: {} for kind in FILES}
    with ExitStack() as stack:
        files = {
            kind: JsonArray(stack.enter_context(replacing(target / f"{name}.json"))) for kind, name in FILES.items()
        }
        for file in results.files():
            record = record_of(file, results)
            if record["kind"] is None or not record["tasks"]:
                continue
            kind = Kind(record["kind"])
            path = local_path(file.uri)
            where = SERVED + quote(bytes(path).lstrip(b"/")) if path else file.uri
            data = {kind.value: where, "file": record["file"], "sha256": record["sha256"]}
            found = list(_results(record["tasks"], kind, fields[kind]))
            models = {answer["model"] for answer in record["tasks"].values() if answer.get("model")}
            prediction = {"model_version": ", ".join(sorted(models)), "result": found}
            files[kind].add({"data": data, "predictions": [prediction] if found else []})
        for array in files.values():
            array.end()
    for kind, name in FILES.items():
        with replacing(target / f"{name}.xml") as interface:
            interface.write(_interface(kind, fields[kind]).encode())
    return target


def _results(tasks: Mapping[str, Any], kind: Kind, fields: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What stands in the fields of a file; fields that are new are added to `fields`, with their kinds."""
    for key, answer in tasks.items():
        said = {key: english(answer)} | {f"{key}_{code}": text for code, text in translations(answer).items()}
        for field, text in said.items():
            items = text if isinstance(text, list) and all(isinstance(item, str) for item in text) else [as_text(text)]
            if found := [item for item in items if item]:
                fields[field] = "textarea"
                yield _result(field, kind, "textarea", {"text": found})
        if answer.get("label") in LABELS:
            fields[f"{key}_label"] = "choices"
            yield _result(f"{key}_label", kind, "choices", {"choices": [answer["label"]]})


def _result(field: str, kind: Kind, form: str, value: dict[str, Any]) -> dict[str, Any]:
    name = _name(field)
    return {"id": name, "from_name": name, "to_name": kind.value, "type": form, "value": value}


def _name(field: str) -> str:
    """A field's name as a name of XML: a task may be called like anything."""
    if field.isascii() and field.replace("_", "").replace("-", "").isalnum():
        return f"t-{field}"
    return f"t-{hashlib.sha256(field.encode(errors='replace')).hexdigest()[:12]}"


def _interface(kind: Kind, fields: Mapping[str, str]) -> str:
    """The labelling configuration: the file, and a titled field for each answer."""
    lines = ["<View>", f'  <{_TAGS[kind]} name="{kind.value}" value="${kind.value}"/>']
    for field, form in fields.items():
        lines.append(f"  <Header value={quoteattr(_plain(field))}/>")
        named = f'name="{_name(field)}" toName="{kind.value}"'
        if form == "choices":
            choices = "".join(f'<Choice value="{label}"/>' for label in LABELS)
            lines.append(f"  <Choices {named}>{choices}</Choices>")
        else:
            lines.append(f'  <TextArea {named} editable="true" maxSubmissions="1000" rows="4"/>')
    return "\n".join([*lines, "</View>", ""])


def _plain(text: str) -> str:
    # A $ would be filled in by Label Studio.
    return "".join(character if character.isprintable() and character != "$" else " " for character in text)
