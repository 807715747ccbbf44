"""The formats of other tools, opened by these tools where they can be installed beside us."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import sqlite3
import subprocess
import xml.etree.ElementTree as ET
from importlib import import_module
from pathlib import Path

import pytest
from exported import ANSWERS, LONG, TAGS, make_media, write_answers

from client.errors import UsageError
from client.export import formats, xlsx_file
from client.export.captions import Choice, in_language
from client.export.formats import TOOLS, export
from client.export.places import LONGEST_NAME_BYTES, Places
from client.export.sidecars import LIST
from client.ledger.ledger import LEDGER

EVIL = "=1+1 <b>&\"'\x00\x0b\ud7ff\ufffe</rdf:li> $image"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with two pictures, one of them in another folder, and a file that is called a video."""
    return make_media(tmp_path / "media")[0].parent


def every(media: Path) -> list[Path]:
    return [media / "a.png", media / "b" / "a.png", media / "film.mp4"]


def test_a_sidecar_of_text_lies_beside_the_picture(tmp_path: Path, media: Path) -> None:
    write_answers(tmp_path / "out", every(media), ANSWERS)
    assert export(tmp_path / "out", ["txt"], choice=Choice(beside=True)) == [tmp_path / "out"]
    assert (media / "b" / "a.txt").read_text() == LONG.strip()
    export(tmp_path / "out", ["txt"], choice=Choice("tags", "spa_Latn", beside=True))
    assert (media / "a.txt").read_text() == "spa_Latn blue & <sky>, spa_Latn red car"
    assert not list(media.rglob("*.partial"))


def test_a_caption_of_what_was_heard_is_in_the_language_that_is_wanted() -> None:
    german = {"text": "Guten Tag.", "data": {"language": "deu_Latn"}, "translations": {"eng_Latn": "Good day."}}
    answer = {"segments": [german, {"text": "Hello.", "translations": {"deu_Latn": "Hallo."}}], "translations": {}}
    assert in_language(answer, "eng_Latn") == "Good day.\nHello."
    assert in_language(answer, "deu_Latn") == "Guten Tag.\nHallo."
    assert in_language(answer, "fra_Latn") is None


def test_sound_goes_where_tools_take_it(tmp_path: Path) -> None:
    sound = tmp_path / "talk.mp3"
    sound.write_bytes(b"no sound")
    write_answers(tmp_path / "out", [sound], {"describe": "Hello."})
    with sqlite3.connect(tmp_path / "out" / LEDGER) as ledger:
        ledger.execute("UPDATE uris SET kind = 'audio'")
    ledger.close()
    export(tmp_path / "out", TOOLS)
    row = json.loads((tmp_path / "out" / "audiofolder" / "metadata.jsonl").read_bytes())
    assert row["text"] == "Hello."
    assert len(json.loads((tmp_path / "out" / "label-studio" / "sounds.json").read_bytes())) == 1
    assert "<Audio " in (tmp_path / "out" / "label-studio" / "sounds.xml").read_text()
    assert (tmp_path / "out" / "results_opensora.csv").read_text().count("\n") == 1
    assert not json.loads((tmp_path / "out" / "fiftyone" / "videos" / "samples.json").read_bytes())["samples"]


def test_what_others_wrote_beside_a_picture_stays(
    tmp_path: Path, media: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("client"), "propagate", True)  # as it is where no command has run
    (media / "a.txt").write_text("My own notes.")
    write_answers(tmp_path / "out", every(media), ANSWERS)
    choice = Choice(beside=True)
    with caplog.at_level(logging.WARNING, logger="client"):
        export(tmp_path / "out", ["txt"], choice=choice)
    assert (media / "a.txt").read_text() == "My own notes."
    assert "left out: 1 file whose sidecar was not written here, or was changed since" in caplog.text
    (media / "film.txt").write_text("Corrected.")
    export(tmp_path / "out", ["txt"], choice=choice)
    assert (media / "film.txt").read_text() == "Corrected."
    (tmp_path / "out" / LIST).write_text("{")
    export(tmp_path / "out", ["txt"], choice=choice._replace(task="tags"))
    assert (media / "b" / "a.txt").read_text() == LONG.strip()


def test_what_several_formats_leave_out_is_told_once(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(formats.logger, "warning", lambda text, *values: told.append(text % values))
    write_answers(tmp_path / "out", every(media), ANSWERS)
    (media / "a.png").unlink()
    export(tmp_path / "out", TOOLS)
    assert told == ["left out: 1 file not on this machine"]


def test_sidecars_are_mirrored_below_the_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    monkeypatch.chdir(media)
    shutil.copy("a.png", "a.jpg")
    write_answers(tmp_path / "out", [Path(name) for name in ("a.png", "a.jpg", "b/a.png", "gone.png")], ANSWERS)
    assert export(tmp_path / "out", ["txt", "xmp"]) == [tmp_path / "out" / "txt", tmp_path / "out" / "xmp"]
    texts = sorted(path.name for path in (tmp_path / "out" / "txt").iterdir() if path.is_file())
    assert texts[1:] == ["a.txt", "gone.txt"]
    assert texts[0].startswith("a-"), "two pictures of one stem"
    assert (tmp_path / "out" / "txt" / "b" / "a.txt").is_file()
    assert (tmp_path / "out" / "xmp" / "b" / "a.png.xmp").is_file()


def test_no_name_leads_out_of_the_folder_or_onto_another() -> None:
    names = ["../../x", "/x", "x", "X", "a:b", "x/y", "\x00", "z" * 300, "/", "x.txt/q"]
    places = Places()
    taken = [places.take(name, name, ".txt") for name in names]
    assert len({str(place).lower() for place in taken}) == len(names)
    for place in taken:
        assert not place.is_absolute()
        assert ".." not in place.parts
        assert max(len(part.encode()) for part in place.parts) < LONGEST_NAME_BYTES
        assert not any(character in str(place) for character in '\x00:*?"<>|\\')
    assert not set(taken) & {parent for place in taken for parent in place.parents}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice("tag"), "--caption tag (did you mean tags?): no such task was asked; there are: describe, tags"),
        (Choice(language="deu_Latn"), "--caption-language deu_Latn: nothing was translated into it; there are: eng_"),
    ],
)
def test_a_caption_that_is_not_there_is_said(tmp_path: Path, media: Path, choice: Choice, said: str) -> None:
    write_answers(tmp_path / "out", every(media), ANSWERS)
    with pytest.raises(UsageError) as error:
        export(tmp_path / "out", ["txt"], choice=choice)
    assert str(error.value).startswith(said)
    assert not (tmp_path / "out" / "txt").exists() or not any((tmp_path / "out" / "txt").iterdir())


def test_formats_of_tools_wait_for_the_end_of_a_run(tmp_path: Path, media: Path) -> None:
    write_answers(tmp_path / "out", every(media), ANSWERS)
    assert export(tmp_path / "out", TOOLS, stats={"files": 3}) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ledger.db", "ledger.lock"}


# -- XMP ------------------------------------------------------------------------------------------------------


def test_xmp_is_sound_xml_whatever_is_said(tmp_path: Path, media: Path) -> None:
    write_answers(tmp_path / "out", every(media), {"describe": EVIL, "tags": TAGS})
    export(tmp_path / "out", ["xmp"], choice=Choice(beside=True))
    tree = ET.parse(media / "a.png.xmp")
    items = [item.text or "" for item in tree.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")]
    assert items[0] == "=1+1 <b>&\"'  \ud7ff </rdf:li> $image"
    assert "blue & <sky>" in items


def test_exiftool_reads_the_fields_of_xmp(tmp_path: Path, media: Path) -> None:
    if (exiftool := shutil.which("exiftool")) is None:
        pytest.skip("exiftool is not installed: apt-get install libimage-exiftool-perl")
    write_answers(tmp_path / "out", every(media), ANSWERS)
    export(tmp_path / "out", ["xmp"], choice=Choice(beside=True))
    said = subprocess.run(
        [exiftool, "-json", "-lang-alt", "-XMP:all", media / "a.png.xmp"], capture_output=True, check=True
    ).stdout
    (fields,) = json.loads(said)
    assert fields["Description"] == LONG.strip()
    assert fields["Description-es"] == f"spa_Latn {LONG.strip()}"
    assert fields["Subject"] == ["blue & <sky>", "red car"]
    assert fields["ExtDescrAccessibility-fr"] == f"fra_Latn {LONG.strip()}"
    alternative = fields["AltTextAccessibility"]
    assert len(alternative) <= 250
    assert LONG.startswith(alternative)
    assert alternative.endswith("red.")
    checked = subprocess.run([exiftool, "-validate", "-warning", media / "a.png.xmp"], capture_output=True, check=True)
    assert b"Warning" not in checked.stdout


# -- data sets ------------------------------------------------------------------------------------------------


def test_a_workbook_holds_texts_that_run_nothing(tmp_path: Path, media: Path) -> None:
    openpyxl = import_module("openpyxl")
    long = "🚗" * 20_000
    columns = {"=1+1": "http://host/", "budget": 7, "n": "0012"}
    write_answers(tmp_path / "out", every(media), {"describe": EVIL, "tags": TAGS, "sentiment": long}, **columns)
    export(tmp_path / "out", ["xlsx"])
    sheet = openpyxl.load_workbook(tmp_path / "out" / "results.xlsx").active
    names, *rows = sheet.iter_rows()
    first = {name.value: cell for name, cell in zip(names, rows[0], strict=True)}
    assert len(rows) == 3
    assert not any(cell.data_type == "f" for row in (names, *rows) for cell in row)
    assert first["describe"].value == "=1+1 <b>&\"'  \ud7ff </rdf:li> $image"
    assert (first["=1+1"].value, first["=1+1"].hyperlink) == ("http://host/", None)
    assert (first["budget"].value, first["n"].value, first["width"].value) == (7, "0012", 4)
    assert first["tags"].value == "blue & <sky>, red car"
    assert first["gone"].value is False
    cut = first["sentiment"].value
    assert len(cut.encode("utf-16-le")) // 2 <= 32_767
    assert cut.startswith("🚗🚗")
    assert cut.endswith("🚗 … (20,000 characters)")


def test_what_does_not_fit_on_a_sheet_goes_on_to_the_next(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openpyxl = import_module("openpyxl")
    monkeypatch.setattr(xlsx_file, "ROWS", 3)
    write_answers(tmp_path / "out", every(media), ANSWERS)
    export(tmp_path / "out", ["xlsx"])
    sheets = openpyxl.load_workbook(tmp_path / "out" / "results.xlsx").worksheets
    assert [[row[0].value for row in sheet.iter_rows()] for sheet in sheets] == [
        ["file", str(media / "a.png"), str(media / "b" / "a.png")],
        ["file", str(media / "film.mp4")],
    ]
    monkeypatch.setattr(xlsx_file, "COLUMNS", 3)
    with pytest.raises(UsageError, match=r"columns do not fit on a sheet, which has 3"):
        export(tmp_path / "out", ["xlsx"])


def test_open_sora_s_table_is_read_by_pandas(tmp_path: Path, media: Path) -> None:
    pandas = import_module("pandas")
    write_answers(tmp_path / "out", every(media), {"describe": '=HYPERLINK("x")\n"two" lines, and\x00 more'})
    export(tmp_path / "out", ["opensora"])
    table = pandas.read_csv(tmp_path / "out" / "results_opensora.csv")
    assert list(table)[:2] == ["path", "text"]
    assert table["path"].tolist() == list(map(str, every(media)))
    assert table["text"][0] == ' =HYPERLINK("x") "two" lines, and more'
    assert table.iloc[2][["num_frames", "height", "width", "aspect_ratio", "fps", "resolution"]].tolist() == [
        *(60, 6, 8, 0.75, 24, 48)
    ]
    with (tmp_path / "out" / "results_opensora.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 4


# -- tools for labelling --------------------------------------------------------------------------------------


def test_label_studio_gets_tasks_and_an_interface_that_fit(tmp_path: Path, media: Path) -> None:
    odd = media / "ü #%.png"
    shutil.copy(media / "a.png", odd)
    write_answers(tmp_path / "out", [*every(media), odd], ANSWERS | {"describe": EVIL})
    (folder,) = export(tmp_path / "out", ["label-studio"])
    interface = ET.parse(folder / "images.xml").getroot()
    controls = {control.get("name"): control for control in interface.iter() if control.get("toName")}
    tasks = json.loads((folder / "images.json").read_bytes())
    assert len(tasks) == 3
    assert len(json.loads((folder / "videos.json").read_bytes())) == 1
    for task in tasks:
        for result in task["predictions"][0]["result"]:
            control = controls[result["from_name"]]
            assert control.tag.lower() == result["type"]
            assert control.get("toName") == result["to_name"]
            assert {choice.get("value") for choice in control} >= set(result["value"].get("choices", []))
            assert interface.find(f"Image[@name='{result['to_name']}']") is not None
    assert tasks[2]["data"]["image"].endswith("/media/%C3%BC%20%23%25.png")
    by_field = {result["from_name"]: result["value"] for result in tasks[0]["predictions"][0]["result"]}
    assert by_field["t-tags"] == {"text": ["blue & <sky>", "red car"]}
    assert by_field["t-sentiment_label"] == {"choices": ["positive"]}
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="Label Studio's library pins other packages")
    understood = sdk.LabelInterface((folder / "images.xml").read_text())
    assert understood.validate_prediction(tasks[0]["predictions"][0])


def test_fiftyone_s_samples_have_its_documented_form(tmp_path: Path, media: Path) -> None:
    """What its importer asks for; FiftyOne itself needs a MongoDB, which is not installed beside us."""
    write_answers(tmp_path / "out", every(media), ANSWERS)
    (folder,) = export(tmp_path / "out", ["fiftyone"])
    for name, count in (("images", 2), ("videos", 1)):
        metadata = json.loads((folder / name / "metadata.json").read_bytes())
        assert "version" not in metadata, "with one, ids and a schema would be asked for"
        assert "media_type" not in metadata, "with video, labels of frames would be"
        samples = json.loads((folder / name / "samples.json").read_bytes())["samples"]
        assert len(samples) == count
        for sample in samples:
            assert Path(sample["filepath"]).is_absolute()
            assert sample["tags"] == []
            assert sample["tags_"]["_cls"] == "Classifications"
            assert sample["sentiment_label"] == {"_cls": "Classification", "label": "positive"}
            assert all(field.replace("_", "").isalnum() for field in sample)
