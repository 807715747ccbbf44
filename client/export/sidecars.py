"""Small files that tools look for beside a picture or video, there (`--beside`) or in a folder of the same form.

Beside the files of others nothing is ever overwritten that this command did not write: a list of what it wrote,
`.sidecars.json` in the output folder, tells.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson

from client.export.atomic import replacing
from client.export.captions import captioned
from client.export.places import Places, stem_and_suffix

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from client.export.captions import Captioned, Choice
    from client.ledger.results import Results

logger = logging.getLogger(__name__)

LIST = ".sidecars.json"
_FOREIGN = "whose sidecar was not written here, or was changed since, and is left as it is"


class Sidecars:
    """A kind of sidecar: the folder where it is mirrored, how one is called, and what stands in it."""

    def __init__(self, folder: str, suffix: str, content: Callable[[Captioned], bytes], *, whole_name: bool) -> None:
        """`whole_name`: `a.jpg` has `a.jpg.xmp`, not `a.xmp`."""
        self._folder, self._suffix, self._content, self._whole_name = folder, suffix, content, whole_name

    def write(self, results: Results, folder: Path, choice: Choice, left_out: Counter[str]) -> Path:
        """Write them; gives where they lie, or the output folder if that is beside each file.

        Raises:
            UsageError: there is no such caption.
            LedgerError: the ledger cannot be read.
            OSError: one cannot be written.
        """
        if choice.beside:
            self._write_beside(results, folder, choice, left_out)
        else:
            places = Places()
            (folder / self._folder).mkdir(exist_ok=True)
            for one in captioned(results, choice, left_out):
                name = one.record["file"]
                place = places.take(name, name if self._whole_name else stem_and_suffix(name)[0], self._suffix)
                path = folder / self._folder / place
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, self._content(one))
        return folder if choice.beside else folder / self._folder

    def _write_beside(self, results: Results, folder: Path, choice: Choice, left_out: Counter[str]) -> None:
        known = _read_list(folder)
        taken: set[Path] = set()
        try:
            for one in captioned(results, choice, left_out):
                if one.path is None:
                    left_out["not on this machine"] += 1
                    continue
                path = one.path.with_name(one.path.name + self._suffix) if self._whole_name else None
                path = path or one.path.with_suffix(self._suffix)
                if path in taken:
                    left_out[f"beside which another file has the same {self._suffix}"] += 1
                    continue
                taken.add(path)
                before = sha256(path.read_bytes()).hexdigest() if path.is_file() else None
                key = str(path).encode(errors="backslashreplace").decode()
                if path.is_symlink() or (before and before != known.get(key)):
                    left_out[_FOREIGN] += 1
                    continue
                content = self._content(one)
                try:
                    _write(path, content)
                except OSError as error:  # a folder of others, or a name that is too long
                    left_out[f"beside which nothing can be written: {error.strerror or error}"] += 1
                    continue
                known[key] = sha256(content).hexdigest()
        finally:
            with replacing(folder / LIST) as file:
                file.write(orjson.dumps(known, option=orjson.OPT_INDENT_2))


def _read_list(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = orjson.loads((folder / LIST).read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError:
        logger.warning("%s cannot be read: sidecars that are there are left as they are", folder / LIST)
        return {}
    return found


def _write(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        with replacing(path) as file:
            file.write(content)


def caption_file(one: Captioned) -> bytes:
    """What kohya's scripts and TagGUI read: the caption on one line."""
    return " ".join(one.caption.split()).encode(errors="replace")


TXT = Sidecars("txt", ".txt", caption_file, whole_name=False)
