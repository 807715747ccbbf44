"""A batch whose thumbnails and report are timed: what `scripts.benchmarks.report --parts` runs in a process of its own.

    python -m scripts.benchmarks.report_parts FIGURES.json OPTIONS OF THE BATCH

The kernel counts the CPU time of the threads that keep thumbnails and write the report, while they do; so what all else
takes, which differs more from run to run, is not in it. Nor is what these do to others, such as to caches. Decoders are
processes of others: what a thumbnail takes there is timed here, after the batch, for some of its files.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import batch
from client.media import thumbnails
from client.media.kinds import Kind
from client.media.load import Identity, load_spans
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from client.media.thumbnail_folder import Thumbnails
from client.report.write import ReportWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.media.content import Content

SOME = 32
"""Files of which thumbnails are made here."""
_spent_s = {"thumbnails": 0.0, "report": 0.0}
"""CPU seconds."""


@contextmanager
def _timed(part: str) -> Iterator[None]:
    began = time.thread_time()
    try:
        yield
    finally:
        _spent_s[part] += time.thread_time() - began


def _time(owner: Any, name: str, part: str = "thumbnails") -> None:
    """Have a function count what it takes."""
    real = getattr(owner, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return real(*arguments, **named)
        finally:
            _spent_s[part] += time.thread_time() - began

    setattr(owner, name, timed)


def _time_report() -> None:
    real = ReportWriter.writing

    @contextmanager
    def writing(self: ReportWriter, results: Any) -> Iterator[Any]:
        context = real(self, results)
        with _timed("report"):
            add = context.__enter__()

        def timed(*file: Any) -> None:
            began = time.thread_time()
            add(*file)
            _spent_s["report"] += time.thread_time() - began

        yield timed
        with _timed("report"):
            context.__exit__(None, None, None)

    setattr(ReportWriter, "writing", writing)  # noqa: B010  # mypy lets no method be assigned to


def _of_decoder(path: Path) -> float:
    """CPU seconds that the thumbnail of a file takes in its decoder, and on the way from it."""
    kind = Kind.VIDEO if path.suffix == ".mp4" else Kind.IMAGE
    before = _spent_s["thumbnails"]
    (content,) = load_spans(path, Identity("0" * 64, kind, None), Sampling(), (None,))
    with _timed("thumbnails"):
        pickle.loads(pickle.dumps(_only_of_thumbnail(content)))  # noqa: S301  # our own
    return _spent_s["thumbnails"] - before


def _only_of_thumbnail(content: Content) -> Any:
    """What would not be sent without it: a frame that is its own thumbnail is sent once."""
    made = content.thumbnail
    return made and (made.strip if made.jpeg is content.frames[0].jpeg else made)


def main() -> int:
    """Run a batch; write what all of it took, and these parts, in CPU seconds, as JSON."""
    figures, files, *options = sys.argv[1:]
    _time(Thumbnails, "keep")
    _time(Loaders, "_lacks")
    _time_report()
    code = batch.main([files, *options])
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"all": time.process_time() + children.ru_utime + children.ru_stime, **_spent_s}
    for name in ("thumbnail_of", "_tile", "_strip"):
        _time(thumbnails, name)
    asked = sorted(Path(files).iterdir()) if Path(files).is_dir() else [Path(files)]
    if "--no-thumbnails" not in options:
        _of_decoder(asked[0])  # modules
        some = asked[:SOME]
        found["thumbnails"] += len(asked) * sum(map(_of_decoder, some)) / len(some)
    Path(figures).write_text(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main())
