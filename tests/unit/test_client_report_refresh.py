"""The report while a run goes on: written again and again, at little cost; and in folders with links in them."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from ledgers import plan_of
from report_ledgers import Shown, thumbnail_of, write_shown

from client.cli.main import main
from client.endpoints.completion import Answer
from client.errors import BabelviewError, LedgerError
from client.ledger.events import AnswerStored, MediaLoaded, SourceCompleted, TranslationsStored, UriSeen
from client.ledger.ledger import LOCK, Ledger
from client.ledger.results import Results
from client.ledger.rows import StoredTranslation
from client.media import thumbnail_folder
from client.media.content import Facts
from client.media.kinds import Kind
from client.media.load import Identity
from client.media.thumbnail_folder import FOLDER, KeptThumbnails, Thumbnails
from client.record import record_of
from client.report import data as report_data
from client.report import write as report_writer
from client.report.chunks import Chunks
from client.report.write import ReportWriter, write_report
from client.sources.source import KnownSource, Source
from client.tasks.plan import UnitRequest
from client.tasks.units import whole

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 7


@pytest.fixture(autouse=True)
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_writer, "BUNDLE", tmp_path / "bundle")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "index.html").write_text("the page")


class Going:
    """A run over `COUNT` pictures that goes on step by step."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.plan = plan_of(["describe"], ("spa_Latn",))
        self.sources = [Source(f"/ads/{n}.png", f"/ads/{n}.png", False, position=n) for n in range(COUNT)]
        self.identities = [Identity(hashlib.sha256(b"%d" % n).hexdigest(), Kind.IMAGE, None) for n in range(COUNT)]
        self.ledger, self.thumbnails = Ledger(output), Thumbnails(output, remembers=True)
        self.ledger.begin_run(self.plan, self.sources)

    def decode(self, number: int) -> None:
        """The file has a thumbnail, and no answer yet."""
        identity = self.identities[number]
        self.thumbnails.keep({identity.sha256: thumbnail_of(number)})
        events = [UriSeen(self.sources[number].uri, KnownSource("s", 1, identity))]
        self.ledger.write([*events, MediaLoaded(identity, 0.1, Facts(640, 360), ())])

    def finish(self, number: int, *, translated: bool = True) -> None:
        """The file has all that it was asked."""
        (request,) = self.plan.requests[Kind.IMAGE]
        ask = UnitRequest(whole(self.identities[number].sha256), request)
        spanish = {"spa_Latn": StoredTranslation([f"Coche {number}."], [], {"ok": 1})}
        self.ledger.write(
            [
                AnswerStored(ask, Answer(f"Car {number}.", "stop", 1, 2, 0.1)),
                *([TranslationsStored(ask, spanish)] if translated else []),
                SourceCompleted(number, self.identities[number].sha256, None),
            ]
        )

    def write(self, writer: ReportWriter) -> None:
        with Results(self.output) as results, writer.writing(results) as add:
            for file in results.files():
                add(file, record_of(file, results))

    def close(self) -> None:
        self.thumbnails.close()
        self.ledger.close()


def parsed(script: Path) -> Any:
    """What a script hands to the page."""
    found = re.fullmatch(rb"babelview\.receive\('(.+?)','(.*)'\);\n", script.read_bytes(), re.DOTALL)
    assert found
    said = found[2].replace(rb"\x3c", b"<").replace(rb"\'", b"'").replace(rb"\\", b"\\")
    return json.loads(said)


def shown(page: Path) -> dict[str, Any]:
    """All that a page shows, whatever packs and schemas are numbered like."""
    core = parsed(page / "data" / "core.js")
    scripts = {
        name: parsed(page / "data" / f"{name}.js") for names in core["chunks"].values() for name in names if name
    }
    items = core["items"]
    packs = [number if number is None else core["packs"][number] for number in items["pack"]]
    assert {path.stem for path in (page / "data").iterdir()} == {"core", *scripts}
    return core | {"written": None, "packs": sorted(core["packs"]), "items": items | {"pack": packs}, "texts": scripts}


@pytest.mark.parametrize("at_once", [1, 32])
def test_what_is_written_again_is_what_would_be_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(report_data, "PER_CHUNK", 2)
    monkeypatch.setattr(report_data, "AT_ONCE", at_once)
    monkeypatch.setattr(thumbnail_folder, "PACK_BYTES", 2 * len(thumbnail_of(0).jpeg))
    made: list[int] = []
    real = report_data.item_of

    def counted(file: Any, *more: Any) -> Any:
        made.append(file.number)
        return real(file, *more)

    with closing(Going(tmp_path / "out")) as run:
        writer = ReportWriter(run.output, tmp_path / "page", own_packs=run.thumbnails.own_packs)

        def compare() -> int:
            """How many files were made anew."""
            monkeypatch.setattr(report_data, "item_of", counted)
            made.clear()
            run.write(writer)
            monkeypatch.setattr(report_data, "item_of", real)
            write_report(run.output, tmp_path / "anew")
            assert shown(tmp_path / "page") == shown(tmp_path / "anew")
            return len(made)

        assert compare() == COUNT
        assert compare() == 0, "nothing has happened"
        run.decode(0)
        run.decode(2)
        assert compare() == 4
        run.finish(0)
        assert compare() == COUNT, "the first answer to a task that there was not"
        run.decode(1)
        run.finish(1)
        assert compare() == 4, "the first two are finished, the third is not"
        assert compare() == 2
        run.finish(2, translated=False)
        run.decode(3)
        run.finish(3)
        for number in range(4, COUNT):
            run.decode(number)
            run.finish(number)
        assert compare() == COUNT - 2
        assert compare() == 0
        for script in (tmp_path / "page" / "data").glob("eng*-000-*.js"):
            script.unlink()
        assert compare() == 2, "what somebody took away is there again"


def test_a_script_that_is_made_in_parts_is_one_list(tmp_path: Path) -> None:
    items = [{"text": f"</script> {number} '\\\u2028"} for number in range(70)]
    chunks = Chunks(tmp_path)
    name = chunks.write("eng", [orjson.dumps(item) for item in items])
    assert parsed(tmp_path / f"{name}.js") == items
    assert chunks.write("eng", [orjson.dumps(item) for item in items]) == name
    assert chunks.write("eng", [orjson.dumps(item) for item in items[:-1]]) != name


def test_files_are_made_ready_before_all_of_a_script_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read of them is let go soon: else it would take new memory, page by page."""
    monkeypatch.setattr(report_data, "AT_ONCE", 2)
    made: list[int] = []
    real = report_data.item_of
    monkeypatch.setattr(report_data, "item_of", lambda file, *more: made.append(file.number) or real(file, *more))
    with closing(Going(tmp_path / "out")) as run:
        writer = ReportWriter(run.output)
        with Results(run.output) as results, writer.writing(results) as add:
            for count, file in enumerate(results.files(), 1):
                add(file, record_of(file, results))
                assert len(made) == count // 2 * 2
    assert len(made) == COUNT


def test_files_of_earlier_runs_have_what_is_said_of_their_content_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_data, "PER_CHUNK", 1)
    with closing(Going(tmp_path / "out")) as run:
        for number in range(2):
            run.decode(number)
            run.finish(number)
    plan = plan_of(["describe", "tags"], ())
    request = next(it for it in plan.requests[Kind.IMAGE] if it.task == "tags")
    copies = [Source(f"/copies/{n}.png", f"/copies/{n}.png", False, position=n) for n in range(2)]
    writer = ReportWriter(run.output, tmp_path / "page")
    with closing(Ledger(run.output)) as ledger:
        ledger.begin_run(plan, copies)
        for number, (copy, identity) in enumerate(zip(copies, run.identities, strict=False)):
            answer = AnswerStored(UnitRequest(whole(identity.sha256), request), Answer('["red"]', "stop", 1, 2, 0.1))
            seen = UriSeen(copy.uri, KnownSource("s", 1, identity))
            ledger.write([seen, answer, SourceCompleted(number, identity.sha256, None)])
            run.write(writer)
    write_report(run.output, tmp_path / "anew")
    assert shown(tmp_path / "page") == shown(tmp_path / "anew")


def test_what_comes_while_the_report_is_written_waits_for_the_next_time(tmp_path: Path) -> None:
    """Whatever the results show was decoded before they were opened, and so before the packs are looked at."""
    with closing(Going(tmp_path / "out")) as run:
        writer = ReportWriter(run.output, own_packs=run.thumbnails.own_packs)
        with Results(run.output) as results, writer.writing(results) as add:
            run.decode(1)
            run.finish(1)
            for file in results.files():
                add(file, record_of(file, results))
        core = run.output / "report" / "data" / "core.js"
        assert parsed(core)["items"]["thumbnail"] == [None] * COUNT
        run.write(writer)
    assert [bool(picture) for picture in parsed(core)["items"]["thumbnail"][:3]] == [False, True, False]


def test_after_one_that_failed_all_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_data, "PER_CHUNK", 2)
    with closing(Going(tmp_path / "out")) as run:
        writer = ReportWriter(run.output, tmp_path / "page")
        run.write(writer)
        core = tmp_path / "page" / "data" / "core.js"
        core.unlink()
        core.mkdir()
        with pytest.raises(IsADirectoryError):
            run.write(writer)
        core.rmdir()
        run.decode(0)
        run.finish(0)
        run.write(writer)
        write_report(run.output, tmp_path / "anew")
    assert shown(tmp_path / "page") == shown(tmp_path / "anew")


def test_while_a_run_goes_on_it_takes_a_small_share_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Going(tmp_path / "out")) as run:
        writer = ReportWriter(run.output)
        assert writer.is_cheap, "the first one"
        run.write(writer)
        monkeypatch.setattr(report_writer, "SHARE", 0.0)
        assert not writer.is_cheap
        monkeypatch.setattr(report_writer, "SHARE", 1e9)
        assert writer.is_cheap


def test_packs_of_others_are_not_taken_for_those_of_this_process(tmp_path: Path) -> None:
    for _ in range(2):
        with Thumbnails(tmp_path, remembers=True) as kept:
            kept.keep({"a" * 64: thumbnail_of(1), "b" * 64: thumbnail_of(2)})
            kept.keep({"c" * 64: thumbnail_of(3)})
    assert list(kept.own_packs) == ["1.js"]
    own = KeptThumbnails(tmp_path, kept.own_packs)
    checked = KeptThumbnails(tmp_path)
    for sha256 in ("a" * 64, "b" * 64, "c" * 64):
        assert own.packed(sha256) == checked.packed(sha256) is not None
        assert own.read(sha256) == checked.read(sha256) is not None
    for name in ("0.js", "1.js"):
        with (tmp_path / FOLDER / name).open("ab") as file:
            file.write(b"babelview.thumbnail(00000042,'")
    own.look()
    assert own.packed("b" * 64) == checked.packed("b" * 64), "neither lost nor taken for the newer one"


# -- folders that somebody sent ---------------------------------------------------------------------------------------


def written(output: Path) -> Path:
    write_shown(output, [Shown("/ads/a.png", thumbnail=thumbnail_of(0))], ["describe"], ())
    return write_report(output).parent


@pytest.mark.parametrize("name", ["index.html", ".index.html.partial", "data/core.js", "data/.core.js.partial"])
def test_links_to_files_give_way(tmp_path: Path, name: str) -> None:
    page, mine = written(tmp_path / "out"), tmp_path / "mine"
    mine.write_text("mine")
    (page / "index.html").write_text("of an older version")
    (page / name).unlink(missing_ok=True)
    (page / name).symlink_to(mine)
    write_report(tmp_path / "out")
    assert mine.read_text() == "mine"
    assert [path for path in page.rglob("*") if path.is_symlink()] == []
    assert (page / "index.html").read_text() == "the page"


def test_links_to_equal_files_give_way_too(tmp_path: Path) -> None:
    """They may lead to other ones later, when the page is opened."""
    page = written(tmp_path / "out")
    for number, path in enumerate([*page.glob("data/eng*.js"), *page.glob("thumbnails/*.js"), page / "index.html"]):
        elsewhere = tmp_path / f"{number}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    write_report(tmp_path / "out")
    assert [path for path in page.rglob("*") if path.is_symlink()] == []


def test_a_link_to_a_full_pack_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would lead nowhere once the folder is moved."""
    monkeypatch.setattr(thumbnail_folder, "PACK_BYTES", 1)
    laid, pack = written(tmp_path / "out") / "thumbnails" / "0.js", tmp_path / "out" / FOLDER / "0.js"
    laid.unlink()
    laid.symlink_to(pack)
    write_report(tmp_path / "out")
    assert (laid.is_symlink(), laid.samefile(pack)) == (False, True)


@pytest.mark.parametrize("name", ["data", "thumbnails"])
def test_links_to_folders_give_way(tmp_path: Path, name: str) -> None:
    page, mine = written(tmp_path / "out"), tmp_path / "mine"
    (page / name).rename(mine)
    (mine / "1.js").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in mine.iterdir()}
    (page / name).symlink_to(mine)
    write_report(tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in mine.iterdir()} == before
    assert not (page / name).is_symlink()


def test_a_link_in_place_of_the_report_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, mine = written(tmp_path / "out"), tmp_path / "mine"
    page.rename(tmp_path / "earlier")
    mine.mkdir()
    page.symlink_to(mine)
    assert main(["report", str(tmp_path / "out")]) == 1
    assert "is a link to another folder: remove it, or write" in capsys.readouterr().err
    with pytest.raises(BabelviewError, match="link to another folder"):
        ReportWriter(tmp_path / "out")
    assert list(mine.iterdir()) == []
    assert main(["report", str(tmp_path / "out"), "--out", str(page)]) == 0, "that is the user's own word"
    assert (mine / "index.html").exists()


def test_a_pack_that_is_a_link_holds_nothing(tmp_path: Path) -> None:
    written(tmp_path / "out")
    pack = tmp_path / "out" / FOLDER / "0.js"
    pack.rename(tmp_path / "elsewhere.js")
    pack.symlink_to(tmp_path / "elsewhere.js")
    write_report(tmp_path / "out")
    assert list((tmp_path / "out" / "report" / "thumbnails").iterdir()) == []


def test_the_lock_writes_to_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(LedgerError, match=f"{LOCK} is a link to another file: remove it"):
        Ledger(tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"
