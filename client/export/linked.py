"""A folder of links to pictures and videos, for tools that want them below the folder that describes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from client.export.places import stem_and_suffix

if TYPE_CHECKING:
    from pathlib import Path


class LinkedFolder:
    """A folder in which each content has a link; those of an earlier export go.

    A link is called by its content's SHA-256: of names that users gave, a part such as `test` means a split to some.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is made yet."""
        self.folder = folder
        self._kept: set[Path] = set()

    def add(self, sha256: str, path: Path) -> str:
        """Link a file; gives where the link is below the folder.

        Raises:
            OSError: the link cannot be made.
        """
        _, suffix = stem_and_suffix(path.name)
        name = f"{sha256[:2]}/{sha256[:32]}{suffix.lower()}"
        link = self.folder / name
        self._kept.add(link)
        if not (link.is_symlink() and link.readlink() == path):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        return name

    def finish(self) -> None:
        """Remove links of earlier exports."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                link = self.folder / folder / name
                if link.is_symlink() and link not in self._kept:
                    link.unlink()
