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
                try:
                    _write(partial, content)
                except FileNotFoundError:  # the first file of a folder
                    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
                    _write(partial, content)
                os.replace(partial, path)  # noqa: PTH105

    def create(self, name: str, content: bytes) -> bool:
        """Write one unless it is there; whether it was written. Of several that do so together one does.

        Raises:
            LedgerError: it cannot be written.
        """
        path = self._path(name)
        with self._errors("written"):
            try:
                if self._store:
                    self._create_in_store(path, content)
                else:
                    os.makedirs(self._root, exist_ok=True)  # noqa: PTH103
                    _write(path, content, os.O_EXCL)
            except FileExistsError:
                return False
        return True

    def _create_in_store(self, path: str, content: bytes) -> None:
        self._store.invalidate_cache(self._root)
        if self._store.exists(path):  # there are drivers and stores that pass over the mode, and write
            raise FileExistsError
        try:
            self._store.pipe_file(path, content, mode="create")
        except FileExistsError:
            raise
        except Exception as error:  # a store without such a condition; if it is something else, it is raised again
            if self._store.exists(path):
                raise FileExistsError from error
            self._store.pipe_file(path, content)

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
                self._remove_empty({os.path.dirname(path) for path in paths})  # noqa: PTH120
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
            Path(partial).parent.mkdir(parents=True, exist_ok=True)
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

    def _remove_empty(self, folders: set[str]) -> None:
        """Remove folders that hold nothing any more, and those that held nothing else."""
        while folders:
            left = set[str]()
            for folder in folders:
                with suppress(OSError):  # it is not empty, or gone
                    if folder.startswith(f"{self._root}/"):
                        Path(folder).rmdir()
                        left.add(os.path.dirname(folder))  # noqa: PTH120
            folders = left

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
    """Where a file is written before it is moved to its path."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.{uuid.uuid4().hex}{_PARTIAL}"


def _write(path: str, content: bytes, flags: int = os.O_TRUNC) -> None:
    """An answer is a file: with Python's own `open` it takes twice as long."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    try:
        while content:
            content = content[os.write(file, content) :]
    finally:
        os.close(file)
