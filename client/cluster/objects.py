"""Where the output of a cluster lies: a folder that all machines share, or a URL of an object store (fsspec)."""

from __future__ import annotations

import os
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import LedgerError, UsageError
from client.sources.source import public
from client.sources.stores import below, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LISTED_AT_ONCE = 16
_PARTIAL = ".partial"


def is_url(text: str) -> bool:
    """Whether an output is named by a URL, not by a path."""
    return "://" in text


class Objects:
    """Small files below one place, by their names: `journal/a/...`. May be used by several threads."""

    def __init__(self, uri: str) -> None:
        """`uri` is a folder or a URL; nothing is read or written yet.

        Raises:
            UsageError: there is no driver for such URLs, or it lacks its settings.
        """
        self.uri = uri.rstrip("/") or uri
        self.shown = public(self.uri)
        self._store: Any = None
        self._root = os.path.abspath(self.uri)  # noqa: PTH100  # other machines have another working folder
        if is_url(self.uri):
            self._store, self._root = open_store(self.uri)
            self._root = self._root.rstrip("/")
        else:
            self.uri = self._root

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write some; each is there whole or not at all, whatever happens.

        Raises:
            LedgerError: one cannot be written.
        """
        with self._errors("written"):
            if self._store:
                self._store.pipe({self._path(name): content for name, content in files.items()})
                return
            for name, content in files.items():
                path = self._path(name)
                partial = _beside(path)
                Path(partial).write_bytes(content)
                os.replace(partial, path)  # noqa: PTH105  # an answer is a file: Path takes as long as the disk

    def get(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those of some that are there, by their names.

        Raises:
            LedgerError: one cannot be read.
        """
        with self._errors("read"):
            paths = {self._path(name): name for name in names}
            if self._store:
                return self._fetched(paths)
            found: dict[str, bytes] = {}
            for path, name in paths.items():
                with suppress(FileNotFoundError):
                    found[name] = Path(path).read_bytes()
            return found

    def _fetched(self, paths: Mapping[str, str]) -> dict[str, bytes]:
        if not paths:
            return {}
        given = self._store.cat(list(paths), on_error="return")
        found: dict[str, bytes] = {}
        for path, content in given.items():
            if isinstance(content, FileNotFoundError):
                continue
            if isinstance(content, BaseException):
                raise content
            found[paths[path]] = content
        return found

    def names(self, folder: str) -> list[str]:
        """The names of all below a folder, sorted.

        Raises:
            LedgerError: it cannot be listed.
        """
        root = self._path(folder).rstrip("/")
        with self._errors("listed"):
            if self._store:
                self._store.invalidate_cache(root)
                try:
                    paths = list(below(self._store, root))
                except FileNotFoundError:
                    paths = []
            else:
                paths = [os.path.join(where, file) for where, _, files in os.walk(root) for file in files]  # noqa: PTH118
        start = len(self._root) + 1
        return sorted(path[start:] for path in paths if not path.endswith(_PARTIAL))

    def names_below(self, folders: Iterable[str]) -> dict[str, list[str]]:
        """The names of all below several folders, which are listed together.

        Raises:
            LedgerError: one cannot be listed.
        """
        wanted = list(folders)
        if not self._store:
            return {folder: self.names(folder) for folder in wanted}
        with ThreadPoolExecutor(LISTED_AT_ONCE, "list") as threads:
            return dict(zip(wanted, threads.map(self.names, wanted), strict=True))

    def delete(self, names: Iterable[str]) -> None:
        """Remove some; what is not there is no error.

        Raises:
            LedgerError: one cannot be removed.
        """
        paths = [self._path(name) for name in names]
        with self._errors("removed"):
            if not self._store:
                for path in paths:
                    Path(path).unlink(missing_ok=True)
            elif paths:
                with suppress(FileNotFoundError):
                    self._store.rm(paths)

    def upload(self, path: Path, name: str) -> None:
        """Write a file of this machine.

        Raises:
            LedgerError: it cannot be written.
        """
        with self._errors("written"):
            if self._store:
                self._store.put_file(str(path), self._path(name))
                return
            partial = _beside(self._path(name))
            shutil.copyfile(path, partial)
            Path(partial).replace(self._path(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """An open file to read, which can be moved in.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._errors("read"):
            opened = self._store.open(self._path(name), "rb") if self._store else Path(self._path(name)).open("rb")  # noqa: SIM115
            with opened as file:
                yield file

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (LedgerError, UsageError):
            raise
        except Exception as error:  # drivers raise what they like
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise LedgerError(f"{self.shown}: cannot be {done}: {reason}") from error


def _beside(path: str) -> str:
    """Where a file is written before it is moved to its path, in a folder that is there."""
    folder, _, name = path.rpartition("/")
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    return f"{folder}/.{name}.{uuid.uuid4().hex}{_PARTIAL}"
