"""Writes the report: the page as it was built, its data, and links to the packs of thumbnails."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import BabelviewError
from client.export.atomic import replacing
from client.ledger.results import Results
from client.record import record_of
from client.report.data import PageData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from client.ledger.results import FileResult
    from client.media.thumbnail_folder import OwnPack
    from client.record import Record

FOLDER, INDEX = "report", "index.html"
"""Where the report of an output folder is, and its page."""
BUNDLE = Path(__file__).with_name("static")
"""The page as `scripts.build_report` made it."""
SHARE = 0.02
"""Of a process's CPU time that may go into writing while a run goes on."""


def check_built() -> None:
    """Make sure that the page is there.

    Raises:
        BabelviewError: it was not built.
    """
    if not (BUNDLE / INDEX).is_file():
        raise BabelviewError(
            "the report's page is not built: run python -m scripts.build_report in Babelview's own folder, as make "
            "setup does; it fetches a few packages from npm"
        )


def check_place(output: Path) -> None:
    """Make sure that the report of an output folder comes to lie in it: the folder may come from anyone.

    Raises:
        BabelviewError: there is a link in its place.
    """
    if (page := output / FOLDER).is_symlink():
        raise BabelviewError(f"{page} is a link to another folder: remove it, or write the report elsewhere (--out)")


def write_report(output: Path, page: Path | None = None, *, only_run: bool = False, copy_of: str | None = None) -> Path:
    """Write the report of an output folder into `page` (default: `report` in it); gives the file to open.

    `copy_of`: the folder is a copy of this folder or URL, to which a page in it will be brought.

    Raises:
        BabelviewError: the page was not built, or would lie elsewhere; the ledger cannot be read.
        OSError: something cannot be written.
    """
    check_built()
    writer = ReportWriter(output, page, copy_of=copy_of)
    with Results(output, only_run=only_run) as results, writer.writing(results) as add:
        for file in results.files():
            add(file, record_of(file, results))
    return (page or output / FOLDER) / INDEX


class ReportWriter:
    """Writes the report of an output folder, also again and again while a run goes on, at little cost."""

    def __init__(
        self,
        output: Path,
        page: Path | None = None,
        *,
        copy_of: str | None = None,
        own_packs: Mapping[str, OwnPack] | None = None,
    ) -> None:
        """As `write_report`; `own_packs` are those of thumbnails that this process makes, and remembers.

        Raises:
            BabelviewError: as of `check_place`.
        """
        if page is None:
            check_place(output)
        self._output, self._page = output, page or output / FOLDER
        self._named = copy_of or str(output.resolve())
        self._lies = page or (None if "://" in self._named else Path(self._named, FOLDER))
        self._own_packs, self._takes_changes = own_packs, copy_of is None
        self._data: PageData | None = None
        """As it was written last; None where that came to no end."""
        self._spent_s = self._last_s = 0.0

    @property
    def is_cheap(self) -> bool:
        """Whether all that it took stays a small share of this process's CPU time if it is written once more now."""
        return self._spent_s + self._last_s <= SHARE * time.process_time()

    @contextmanager
    def writing(self, results: Results) -> Iterator[Callable[[FileResult, Record], None]]:
        """Takes all files of the folder's results, with their records, and writes the report at the end.

        Raises:
            LedgerError: the ledger cannot be read.
            OSError: something cannot be written.
        """
        began = time.thread_time()
        self._page.mkdir(parents=True, exist_ok=True)
        for asset in sorted(BUNDLE.iterdir(), key=lambda path: path.name == INDEX):
            _copy(asset, self._page / asset.name)
        data = self._data or PageData(
            self._output, self._page, self._lies, self._own_packs, takes_changes=self._takes_changes
        )
        self._data, data.spent_s = None, 0.0
        data.begin(results)
        begun_s = time.thread_time() - began
        try:
            yield data.add
            data.finish(results, self._named.rstrip("/").rpartition("/")[2])
        except BaseException:
            data.discard()
            raise
        finally:
            self._last_s = begun_s + data.spent_s
            self._spent_s += self._last_s
        self._data = data


def _copy(source: Path, target: Path) -> None:
    data = source.read_bytes()
    if target.is_symlink() or not target.exists() or target.read_bytes() != data:
        with replacing(target, lasting=False) as file:
            file.write(data)
