"""The data of the page: scripts, as a page from the disk may not fetch anything, each one call with a JSON text.

    babelview.receive("core", '{"items": ...}');

The page parses the text as JSON: nothing in it is run, and no key of it (`__proto__`) means anything to the language.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from client.export.atomic import own_folder, replacing

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_ESCAPES = (
    (b"\\", rb"\\"),
    (b"'", rb"\'"),
    (b"<", rb"\x3c"),  # no </script> and no <!--, wherever the text may be put
    ("\N{LINE SEPARATOR}".encode(), rb"\u2028"),
    ("\N{PARAGRAPH SEPARATOR}".encode(), rb"\u2029"),
)


_END = b"');\n"
_TOGETHER = 32
"""Items that become a part of a script together: buffers that small need no new memory each time."""


def script(name: str, json: bytes) -> bytes:
    """The script that hands data to the page under a name."""
    return _begin(name) + _escaped(json) + _END


def _begin(name: str) -> bytes:
    return b"babelview.receive('%b','" % _escaped(orjson.dumps(name))


def _escaped(json: bytes) -> bytes:
    for sign, escaped in _ESCAPES:
        json = json.replace(sign, escaped)
    return json


class Chunks:
    """The scripts in a folder. Each is named by what it holds: what has not changed is not written again."""

    def __init__(self, folder: Path) -> None:
        """The folder is made if it is not there.

        Raises:
            OSError: it cannot be made.
        """
        own_folder(folder)
        self._folder = folder
        self._written: set[str] = set()
        self._new: list[Path] = []

    def write(self, label: str, items: list[bytes]) -> str:
        """Write a chunk, an array of JSON texts; gives its name, by which the page asks for it.

        Raises:
            OSError: it cannot be written.
        """
        digest, parts = hashlib.sha256(), [b"["]
        for begin in range(0, len(items), _TOGETHER):
            part = b",".join(items[begin : begin + _TOGETHER])
            digest.update(b"," + part)
            parts += [b",", _escaped(part)] if begin else [_escaped(part)]
        name = f"{label}-{digest.hexdigest()[:12]}"
        path = self._folder / f"{name}.js"
        text = [_begin(name), *parts, b"]" + _END]
        # A folder may come from anyone, and the page runs what is in it.
        if path.is_symlink() or not path.is_file() or path.read_bytes() != b"".join(text):
            if not path.exists():
                self._new.append(path)
            with replacing(path, lasting=False) as file:
                file.writelines(text)
        self._written.add(path.name)
        return name

    def keep(self, names: Collection[str]) -> bool:
        """Name chunks of an earlier time once more; whether all of them are there."""
        if not all((self._folder / f"{name}.js").is_file() for name in names):
            return False
        self._written.update(f"{name}.js" for name in names)
        return True

    def discard(self) -> None:
        """Take away what no page names, as this one came to no end: a full disk has room for other files again."""
        for path in self._new:
            path.unlink(missing_ok=True)

    def finish(self, core: dict[str, Any]) -> None:
        """Write what names the chunks, the last of all; remove those of earlier reports.

        Raises:
            OSError: it cannot be written.
        """
        with replacing(self._folder / "core.js", lasting=False) as file:
            file.write(script("core", orjson.dumps(core)))
        self._new = []
        self._written.add("core.js")
        for path in self._folder.glob("*.js"):
            if path.name not in self._written:
                path.unlink(missing_ok=True)
        self._written = set()
