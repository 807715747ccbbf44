"""The formats of other tools, opened by these tools where they can be installed beside us."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from ledgers import plan_of, write_run
from PIL import Image

from client.errors import UsageError
from client.export.captions import Choice
from client.export.formats import TOOLS, export
from client.export.places import LONGEST_NAME_BYTES, Places
from client.export.sidecars import LIST

LONG = "A red car stands by the sea. " + "It is very red. " * 40
EVIL = "=1+1 <b>&\"'\x00\x0b\ud7ff\ufffe</rdf:li> $image"
TAGS = '["Red Car", "blue & <sky>"]'
ANSWERS = {"describe": LONG, "tags": TAGS, "sentiment": "It is positive."}


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with two pictures, one of them in another folder, and a file that is called a video."""
    folder = tmp_path / "media"
    (folder / "b").mkdir(parents=True)
    Image.new("RGB", (4, 3), "red").save(folder / "a.png")
    Image.new("RGB", (4, 3), "blue").save(folder / "b" / "a.png")
    (folder / "film.mp4").write_bytes(b"no video")
    return folder


def run(output: Path, names: list[Path], answers: dict[str, str], **columns: Any) -> None:
    write_run(output, plan_of(["describe", "tags", "sentiment"]), list(map(str, names)), answers, columns or None)


def every(media: Path) -> list[Path]:
    return [media / "a.png", media / "b" / "a.png", media / "film.mp4"]


def test_a_sidecar_of_text_lies_beside_the_picture(tmp_path: Path, media: Path) -> None:
    run(tmp_path / "out", every(media), ANSWERS)
    assert export(tmp_path / "out", ["txt"], choice=Choice(beside=True)) == [tmp_path / "out"]
    assert (media / "b" / "a.txt").read_text() == LONG.strip()
    export(tmp_path / "out", ["txt"], choice=Choice("tags", "spa_Latn", beside=True))
    assert (media / "a.txt").read_text() == "spa_Latn blue & <sky>, spa_Latn red car"
    assert not list(media.rglob("*.partial"))


def test_what_others_wrote_beside_a_picture_stays(
    tmp_path: Path, media: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (media / "a.txt").write_text("My own notes.")
    run(tmp_path / "out", every(media), ANSWERS)
    choice = Choice(beside=True)
    with caplog.at_level(logging.WARNING):
        export(tmp_path / "out", ["txt"], choice=choice)
    assert (media / "a.txt").read_text() == "My own notes."
    assert "left out: 1 file whose sidecar was not written here, or was changed since" in caplog.text
    (media / "film.txt").write_text("Corrected.")
    export(tmp_path / "out", ["txt"], choice=choice)
    assert (media / "film.txt").read_text() == "Corrected."
    (tmp_path / "out" / LIST).write_text("{")
    export(tmp_path / "out", ["txt"], choice=choice._replace(task="tags"))
    assert (media / "b" / "a.txt").read_text() == LONG.strip()


def test_sidecars_are_mirrored_below_the_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    monkeypatch.chdir(media)
    shutil.copy("a.png", "a.jpg")
    run(tmp_path / "out", [Path(name) for name in ("a.png", "a.jpg", "b/a.png", "gone.png")], ANSWERS)
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
    run(tmp_path / "out", every(media), ANSWERS)
    with pytest.raises(UsageError) as error:
        export(tmp_path / "out", ["txt"], choice=choice)
    assert str(error.value).startswith(said)
    assert not (tmp_path / "out" / "txt").exists() or not any((tmp_path / "out" / "txt").iterdir())


def test_formats_of_tools_wait_for_the_end_of_a_run(tmp_path: Path, media: Path) -> None:
    run(tmp_path / "out", every(media), ANSWERS)
    assert export(tmp_path / "out", TOOLS, stats={"files": 3}) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ledger.db", "ledger.lock"}


# -- XMP ------------------------------------------------------------------------------------------------------


def test_xmp_is_sound_xml_whatever_is_said(tmp_path: Path, media: Path) -> None:
    run(tmp_path / "out", every(media), {"describe": EVIL, "tags": TAGS})
    export(tmp_path / "out", ["xmp"], choice=Choice(beside=True))
    tree = ET.parse(media / "a.png.xmp")
    items = [item.text or "" for item in tree.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")]
    assert items[0] == "=1+1 <b>&\"'  \ud7ff </rdf:li> $image"
    assert "blue & <sky>" in items


def test_exiftool_reads_the_fields_of_xmp(tmp_path: Path, media: Path) -> None:
    if (exiftool := shutil.which("exiftool")) is None:
        pytest.skip("exiftool is not installed: apt-get install libimage-exiftool-perl")
    run(tmp_path / "out", every(media), ANSWERS)
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


def test_datasets_loads_the_folder(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    hostile = {"file_name": "../../etc/passwd", "x_file_name": "/etc/passwd", "image": "x", "text": "y"}
    run(tmp_path / "out", every(media), ANSWERS, **hostile)
    assert export(tmp_path / "out", ["imagefolder"]) == [tmp_path / "out" / "imagefolder"]
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "out" / "imagefolder"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [row["image"].getpixel((0, 0)) for row in loaded] == [(255, 0, 0), (0, 0, 255)]
    assert loaded[0]["text"] == LONG.strip()
    assert loaded[0]["tags"] == "blue & <sky>, red car"
    assert loaded[0]["describe_spa_Latn"] == f"spa_Latn {LONG}".strip()
    assert loaded[0]["x_file_name_"] == "/etc/passwd"
    assert loaded[0]["width"] == 4
    video = json.loads((tmp_path / "out" / "videofolder" / "metadata.jsonl").read_text())
    assert (tmp_path / "out" / "videofolder" / video["file_name"]).read_bytes() == b"no video"
    (media / "a.png").unlink()
    export(tmp_path / "out", ["imagefolder"])
    links = [path for path in (tmp_path / "out" / "imagefolder").rglob("*.png") if path.is_symlink()]
    assert len(links) == 1, "the link to a file that is gone is gone, too"


def test_open_sora_s_table_is_read_by_pandas(tmp_path: Path, media: Path) -> None:
    pandas = pytest.importorskip("pandas")
    run(tmp_path / "out", every(media), {"describe": '=HYPERLINK("x")\n"two" lines, and\x00 more'})
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
    run(tmp_path / "out", [*every(media), odd], ANSWERS | {"describe": EVIL})
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
    run(tmp_path / "out", every(media), ANSWERS)
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
