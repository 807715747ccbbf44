"""What a run takes in: folders, files, manifests."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, results, run, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from client.errors import UsageError
from client.sources.folders import Choice
from client.sources.gather import gather
from client.sources.manifest import read_manifest
from client.sources.source import Source

if TYPE_CHECKING:
    from fake_servers import FakeServers


def below(folder: Path, sources: list[Source]) -> list[str]:
    return [os.path.relpath(source.where, folder) for source in sources]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], ["a.mp4", "top.jpg", "x/b.mp4", "x/top.jpg", "x/y/c.png", "z/d.jpg"]),
        (["*.mp4"], [], ["a.mp4", "x/b.mp4"]),
        (["x/"], [], ["x/b.mp4", "x/top.jpg", "x/y/c.png"]),
        (["/top.jpg"], [], ["top.jpg"]),
        (["**/y/*", "z"], [], ["x/y/c.png", "z/d.jpg"]),
        ([], ["x/"], ["a.mp4", "top.jpg", "z/d.jpg"]),
        (["*.jpg", "*.png"], ["top.jpg"], ["x/y/c.png", "z/d.jpg"]),
        ([], ["x/*", "!x/b.mp4"], ["a.mp4", "top.jpg", "x/b.mp4", "z/d.jpg"]),
    ],
)
def test_include_and_exclude(tmp_path: Path, include: list[str], exclude: list[str], expected: list[str]) -> None:
    folder = tree(tmp_path / "ads", "a.mp4", "x/b.mp4", "x/y/c.png", "top.jpg", "x/top.jpg", "z/d.jpg", "z/e.txt")
    assert below(folder, gather([str(folder)], choice=Choice(include, exclude))) == expected
    # A file that is named is wanted.
    assert len(gather([str(folder / "z" / "d.jpg")], choice=Choice(include, ["*"]))) == 1


def test_other_files_of_folders_are_counted_by_suffix(tmp_path: Path) -> None:
    folder = tree(tmp_path / "ads", "a.mp4", "b.doc", "x/c.DOC", "x/d.docx", "Makefile", ".hidden.doc", "e.png")
    others = Counter[str]()
    gather([str(folder)], choice=Choice(["*"], ["*.png", "d.*"]), passed_over=others)
    assert others == {".doc": 2, "": 1}  # not what is hidden, and not what --exclude names


LEFT = ("@eaDir/t.jpg", "#recycle/a.jpg", "x/__MACOSX/._a.jpg", "$RECYCLE.BIN/a.jpg", ".thumbnails/t.jpg", "x/._a.jpg")


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ([], ["a.jpg", "x/b.jpg"]),
        (["*.jpg", "**/*.jpg"], ["a.jpg", "x/b.jpg"]),  # which names none of them
        (["*.jpg", "@eaDir/"], ["a.jpg", "@eaDir/t.jpg", "x/b.jpg"]),
        (["#recycle/"], ["#recycle/a.jpg"]),
        ([".thumbnails/*"], [".thumbnails/t.jpg"]),
        (["._*", "$recycle.bin/*"], ["x/._a.jpg"]),
        (["$RECYCLE.BIN/*"], ["$RECYCLE.BIN/a.jpg"]),
    ],
)
def test_what_systems_leave_in_folders_is_passed_over_unless_it_is_named(
    tmp_path: Path, include: list[str], expected: list[str]
) -> None:
    folder = tree(tmp_path / "ads", "a.jpg", "x/b.jpg", *LEFT)
    others = Counter[str]()
    assert below(folder, gather([str(folder)], choice=Choice(include), passed_over=others)) == expected
    if not include:
        folders = dict.fromkeys(("@eaDir/", "#recycle/", "__MACOSX/", "$RECYCLE.BIN/", ".thumbnails/", "._*"), 1)
        assert others == folders


def test_a_pattern_that_begins_with_a_hash_is_no_comment(tmp_path: Path) -> None:
    folder = tree(tmp_path / "ads", "a.jpg", "#drafts/b.jpg")
    assert below(folder, gather([str(folder)], choice=Choice([], ["#drafts/"]))) == ["a.jpg"]
    assert below(folder, gather([str(folder)], choice=Choice(["#drafts/"]))) == ["#drafts/b.jpg"]


def test_videos_of_live_photos_know_their_pictures(tmp_path: Path) -> None:
    names = ("a.HEIC", "a.MOV", "b.jpg", "b.mov", "c.jpg", "c.mp4", "d.heic", "d.mp4", "e.mov", "x/a.mov")
    found = gather([str(tree(tmp_path / "ads", *names))])
    pairs = {Path(source.name).name: Path(source.live_photo_of).name for source in found if source.live_photo_of}
    assert pairs == {"a.MOV": "a.HEIC", "b.mov": "b.jpg", "d.mp4": "d.heic"}
    assert [source.position for source in found] == list(range(len(names)))


def test_a_run_tells_what_it_passes_over(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    tree(tmp_path / "ads", *(f"{number}.kind{number}" for number in range(9)), "a.kind3", "b.kind3", "c")
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("12 others passed over: 3 .kind3, 1 .kind0, 1 .kind1, ")
    assert ", 4 more kinds\n" in done.stderr
    assert "passed over" not in run(servers, "ads", "--languages", "", "--quiet", cwd=tmp_path).stderr


def test_linked_folders_are_entered_and_loops_are_not(tmp_path: Path) -> None:
    folder = tree(tmp_path / "ads", "a.jpg", "sub/b.jpg")
    tree(tmp_path / "elsewhere", "c.jpg")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder / "sub")
    os.mkfifo(folder / "pipe.mp4")
    said: list[str] = []
    others = Counter[str]()
    found = below(folder, gather([str(folder)], warn=said.append, passed_over=others))
    assert found == ["a.jpg", "gone.jpg", "link/c.jpg", "link/back/b.jpg", "sub/b.jpg"]
    assert said == [f"warning: {folder / 'pipe.mp4'} is passed over: it is a pipe or a device"]
    assert others[".mp4"] == 0


def test_the_output_folder_is_left_out_by_any_name(tmp_path: Path) -> None:
    folder = tree(tmp_path / "ads", "a.jpg", "captions/thumb.jpg")
    (tmp_path / "out").symlink_to(folder / "captions")
    assert below(folder, gather([str(folder)], leave_out=tmp_path / "out")) == ["a.jpg"]


def test_a_folder_that_cannot_be_read_is_named_and_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path / "ads", "a.jpg", "locked/b.jpg", "sub/c.jpg")
    scan = os.scandir

    def refuse(path: str) -> Any:  # root, who may run the tests, reads everything
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr("os.scandir", refuse)
    warnings: list[str] = []
    assert below(folder, gather([str(folder)], warn=warnings.append)) == ["a.jpg", "sub/c.jpg"]
    assert warnings == [f"warning: {folder}/locked is passed over: Permission denied"]


def test_odd_names_have_a_text_and_a_place(tmp_path: Path) -> None:
    tree(tmp_path, "line\nbreak.jpg", "कैफ़े.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    found = gather([str(tmp_path)])
    names = {Path(source.name).name for source in found}
    assert names == {"line\nbreak.jpg", "कैफ़े.jpg", "caf\\xe9.jpg"}
    assert all(source.path.exists() for source in found)
    assert len({source.uri.encode() for source in found}) == 3


def test_mixed_input_keeps_its_order_and_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "ads/b.jpg", "ads/a.jpg", "one.mp4")
    Path("list.csv").write_text("file,campaign\nads/a.jpg,spring\nads/a.jpg,autumn\n")
    found = gather(["one.mp4", "https://x.org/x.jpg", "https://x.org/x.jpg", "ads", "ads/a.jpg", "./ads", "list.csv"])
    assert [(source.name, source.remote, dict(source.columns)) for source in found] == [
        ("one.mp4", False, {}),
        ("https://x.org/x.jpg", True, {}),
        ("ads/a.jpg", False, {}),
        ("ads/b.jpg", False, {}),
        ("ads/a.jpg", False, {"campaign": "spring"}),
        ("ads/a.jpg", False, {"campaign": "autumn"}),
    ]
    assert [source.position for source in found] == list(range(6))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@example.org/a@b.jpg?x=//y:z@w", "https://me@example.org/a@b.jpg?x=//y:z@w"),
        ("https://example.org?x=y:z@w", "https://example.org?x=y:z@w"),
        ("https://example.org:8443/a.jpg", "https://example.org:8443/a.jpg"),
    ],
)
def test_a_password_in_a_url_is_used_and_not_shown(url: str, shown: str) -> None:
    (source,) = gather([url])
    assert source.where == url
    assert source.name == source.uri == shown


@given(st.lists(st.sampled_from(["a", "b c", ".", "..", "", "x.y", "ü"]), min_size=1).map("/".join).filter(bool))
def test_a_local_file_is_known_by_its_absolute_path(path: str) -> None:
    assert Source.local(path).uri == str(Path(path).absolute())


def test_an_absolute_path_takes_no_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Source.local("/ads/a.mp4").uri == "/ads/a.mp4"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", "file,n\na.jpg,1\nb.jpg,2\n", [("a.jpg", {"n": "1"}), ("b.jpg", {"n": "2"})]),
        ("a.csv", "﻿Brand;URL\r\nSol;https://x.org/a.jpg\r\n\r\n", [("https://x.org/a.jpg", {"Brand": "Sol"})]),
        ("a.csv", 'note,path\n"two\nlines, ""quoted""",a.jpg\n', [("a.jpg", {"note": 'two\nlines, "quoted"'})]),
        ("a.csv", "file\na.jpg", [("a.jpg", {})]),
        ("a.tsv", "image\tn,m\na,b.jpg\t1\n", [("a,b.jpg", {"n,m": "1"})]),
        ("a.csv", "file\tn\na.jpg\tü\n".encode("utf-16"), [("a.jpg", {"n": "ü"})]),
        ("a.csv", "url,file\nu.jpg,f.jpg\n", [("f.jpg", {"url": "u.jpg"})]),
        ("a.csv", "image,video\na.jpg,\n,b.mp4\n", [("a.jpg", {"video": ""}), ("b.mp4", {"image": ""})]),
        ("a.jsonl", '{"video": "v.mp4", "n": 1, "tags": ["x"]}\n\n{"file": "w.mp4"}\n',
         [("v.mp4", {"n": 1, "tags": ["x"]}), ("w.mp4", {})]),
    ],
)  # fmt: skip
def test_manifests(tmp_path: Path, name: str, content: str | bytes, rows: list[tuple[str, dict[str, Any]]]) -> None:
    assert read_manifest(write(tmp_path, name, content), None) == rows


@pytest.mark.parametrize(
    ("name", "content", "column", "reason"),
    [
        ("a.csv", "file,n\na.jpg,1\nb.jpg\n", None, "a.csv, line 3: 1 values, but 2 columns"),
        ("a.csv", "file,n\na.jpg,1\n,2\n", None, "line 3: file holds no path or URL"),
        ("a.csv", 'file\n"a.jpg\n', None, "line 2: unexpected end of data"),
        ("a.csv", "name,n\na.jpg,1\n", None, "which column holds the files.*there are: name, n"),
        ("a.csv", "file,n\na.jpg,1\n", "pic", "there is no column pic; there are: file, n"),
        ("a.csv", "file,file\na.jpg,1\n", None, "two columns have the same name"),
        ("a.csv", "file,n\n", None, "it is empty"),
        ("a.csv", "", None, "it is empty"),
        ("a.csv", b"file\n\xff\xe9.jpg", None, "not UTF-8: save it as that"),
        ("a.jsonl", '{"file": "a.jpg"}\n{"file": \n', None, "line 2: this is no JSON "),
        ("a.jsonl", '["a.jpg"]\n', None, "line 1: this is no JSON object"),
        ("a.jsonl", '{"file": 7}\n', None, "line 1: file holds no path"),
        ("a.jsonl", '{"file": "a"}\n{"n": 7}\n', None, "which column"),
    ],
)
def test_wrong_manifests_say_where(
    tmp_path: Path, name: str, content: str | bytes, column: str | None, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        read_manifest(write(tmp_path, name, content), column)


def _rows(places: list[str]) -> bytes:
    return "\n".join(["file", *places]).encode(errors="replace")


@settings(max_examples=150)
@given(
    suffix=st.sampled_from([".csv", ".tsv", ".jsonl"]),
    content=st.one_of(
        st.binary(max_size=60),
        st.text(st.sampled_from('file,;"\n\r\t{}[]:\\0a:/%é'), max_size=60).map(str.encode),
        st.lists(st.text(max_size=20), max_size=4).map(
            lambda rows: "\n".join(["file", *rows]).encode(errors="replace")
        ),
    ),
)
def test_any_manifest_is_read_or_refused(suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), f"list{suffix}", content)
        with contextlib.suppress(UsageError):
            sources = gather([], [path])
            assert sources
            assert all(source.uri.encode() and source.name.encode() for source in sources)


def test_folders_and_files_may_be_file_urls(tmp_path: Path) -> None:
    tree(tmp_path, "my ads/a.jpg", "my ads/b.txt")
    assert below(tmp_path, gather([f"file://{tmp_path}/my%20ads"])) == ["my ads/a.jpg"]
    assert below(tmp_path, gather([f"file://{tmp_path}/my%20ads/b.txt"])) == ["my ads/b.txt"]
    with pytest.raises(UsageError, match="no such file or folder"):
        gather([f"file://{tmp_path}/nothing"])


def test_a_manifest_begins_at_its_own_folder(tmp_path: Path) -> None:
    tree(tmp_path, "data/ads/a.jpg")
    path = write(
        tmp_path / "data",
        "list.txt",
        f"pic,n\nads/a.jpg,1\n{tmp_path}/data/ads/a.jpg,2\nfile://{tmp_path}/data/ads/a.jpg,3\ns%20.jpg,4\n",
    )
    found = gather([], [path], column="PIC")
    assert [source.name for source in found] == [
        "ads/a.jpg",
        f"{tmp_path}/data/ads/a.jpg",
        f"file://{tmp_path}/data/ads/a.jpg",
        "s%20.jpg",
    ]
    assert [source.path.exists() for source in found] == [True, True, True, False]
    with pytest.raises(UsageError, match=r"manifest .*nothing.csv: No such file"):
        gather([], [tmp_path / "nothing.csv"])


@pytest.mark.parametrize("dry", [True, False])
def test_what_never_ends_is_not_read(tmp_path: Path, servers: FakeServers, dry: bool) -> None:
    """A pipe would be waited for, a device read, for ever; a folder in a manifest is none of a run's files either."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder").mkdir()
    write(tmp_path, "list.csv", "file\nfolder\n/dev/zero\npipe.jpg\n")
    pictures(tmp_path, 1)
    options = ["--languages", "", *(["--dry-run"] if dry else [])]
    done = run(servers, "list.csv", "pipe.jpg", "0000.png", *options, cwd=tmp_path)
    assert done.returncode == (0 if dry else 1)
    said = done.stdout + done.stderr
    assert "folder: cannot be read: it is a folder" in said
    assert "zero: cannot be read: it is a pipe or a device" in said
    assert "pipe.jpg: cannot be read: it is a pipe or a device" in said
    assert len(servers.asked) == (0 if dry else 1)
    if not dry:
        fields = {"file", "kind", "sha256", "size_mb", "tasks", "total_processing_time_sec", "warnings", "error"}
        assert all(set(record) >= fields for record in results(tmp_path)["files"])


def test_a_manifest_elsewhere_may_name_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(tmp_path, "ads/here.jpg", "ads/both.jpg", "lists/ads/both.jpg"))
    rows = "file\nads/here.jpg\nads/both.jpg\nads/gone.jpg\n" + "x" * 300 + ".jpg\n"
    sources = gather([], [write(tmp_path, "lists/list.csv", rows)])
    found = [os.path.relpath(source.where) for source in sources]
    assert found[:3] == ["ads/here.jpg", "lists/ads/both.jpg", "lists/ads/gone.jpg"]
    assert [source.name for source in sources][:3] == ["ads/here.jpg", "ads/both.jpg", "ads/gone.jpg"]


def test_a_manifest_comes_through_a_pipe(tmp_path: Path) -> None:
    """As of `--manifest <(make-list)`."""
    os.mkfifo(tmp_path / "list")
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit((tmp_path / "list").write_bytes, b"\xef\xbb\xbf\nfile;n\na.jpg;1\n")
        assert read_manifest(tmp_path / "list", None) == [("a.jpg", {"n": "1"})]
        writing.result()


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("https://me:secret@host/list.csv", r"^manifest https://me@host/list.csv: is read from a file or a store"),
        ("nowhere://bucket/list.csv", "no way known to read nowhere://"),
    ],
)
def test_a_manifest_that_is_no_file_and_in_no_store(manifest: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        gather([], [manifest])
