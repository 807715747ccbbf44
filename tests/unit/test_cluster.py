"""Many machines, as far as it takes no Ray: blocks of sources, the journal, the tables, and what is made of them."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, results, run
from clusters import do, put_files, s3_server, wanted_of, work_of

from client.cluster import records
from client.cluster.compaction import DIGITS, compact
from client.cluster.journal import read_docs
from client.cluster.listing import _size, blocks, read_block, stream
from client.cluster.objects import Objects
from client.cluster.rows import ANSWER, take
from client.cluster.tables import Tables
from client.errors import LedgerError, UsageError
from client.ledger.ledger import Ledger
from client.media.fork_server import ForkServer
from client.sources.gather import rows
from scripts.benchmarks.cluster.records import comparable
from scripts.benchmarks.cluster.records import records as records_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_servers import FakeServers


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    """Five pictures, two of them the same, and one that is broken."""
    folder = pictures(tmp_path / "ads", 4)
    shutil.copy(folder / "0001.png", folder / "copy.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def compact_all(output: str) -> int:
    return sum(compact(Objects(output), part) for part in (*DIGITS, "sources"))


def one_machine(servers: FakeServers, folder: Path) -> list[dict[str, Any]]:
    run(servers, "ads", "--languages", "spa_Latn", cwd=folder)
    return comparable(results(folder)["files"])


def test_records_are_those_of_one_machine(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    expected = one_machine(servers, tmp_path)
    asked, output = len(servers.asked), str(tmp_path / "many")
    (outcome,) = do(work_of(servers, output), wanted_of(str(ads)))
    assert (outcome["done"], [name.rpartition("/")[2] for name, _ in outcome["failures"]]) == (5, ["broken.png"])
    assert len(servers.asked) == 2 * asked == 8
    assert records_of(output) == expected
    assert compact_all(output) > 0
    assert Objects(output).names("journal") == Objects(output).names("sources") == []
    assert records_of(output, write=True) == expected
    assert (tmp_path / "many" / "results.json").exists()


@pytest.mark.parametrize("compacted", [False, True])
def test_what_was_answered_is_not_asked_again(servers: FakeServers, ads: Path, tmp_path: Path, compacted: bool) -> None:
    """A killed actor's block is begun anew, and only what was in flight is asked; so it is by another run."""
    output = str(tmp_path / "many")
    work = work_of(servers, output)
    do(work, wanted_of(str(ads)))
    if compacted:
        compact_all(output)
    asked, translated = len(servers.asked), len(servers.translated)
    work = work_of(servers, output)
    shutil.rmtree(tmp_path / "many" / "sources", ignore_errors=True)  # as if the block had not been finished
    (outcome,) = do(work, wanted_of(str(ads)))
    assert (outcome["done"], outcome["requests"], len(servers.asked), len(servers.translated)) == (
        5,
        0,
        asked,
        translated,
    )
    more = work_of(servers, output, tasks=["describe", "tags"])
    do(more, wanted_of(str(ads)))
    assert len(servers.asked) == asked + 4
    assert len(records_of(output)) == 6


def test_sources_that_are_done_are_only_looked_at(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "many")
    do(work_of(servers, output), wanted_of(str(ads)))
    before = records_of(output)
    pictures(ads, 1, first=3, size=(90, 70))  # another picture of this name
    shutil.rmtree(tmp_path / "many" / "journal")  # nobody has to read it
    work = work_of(servers, output)
    (outcome,) = do(work, wanted_of(str(ads)))
    assert (outcome["reused"], outcome["requests"], outcome["done"]) == (4, 1, 5)
    assert [it["name"] for it in records_of(output)] == [it["name"] for it in before]


def test_what_is_done_again_goes_on_where_it_was_interrupted(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "many")
    do(work_of(servers, output), wanted_of(str(ads)))
    objects = Objects(output)
    last = records.runs_of(objects)[-1]
    records.write(objects, last | {"finished": 1.0})
    asked = len(servers.asked)
    work = work_of(servers, output, redo="all")
    do(work, wanted_of(str(ads / "0000.png")))
    assert len(servers.asked) == asked + 1
    shutil.rmtree(tmp_path / "many" / "sources")  # the actor was killed before its block was finished
    do(work_of(servers, output, redo="all"), wanted_of(str(ads)))
    assert len(servers.asked) == asked + 4
    records.write(objects, records.runs_of(objects)[-1] | {"finished": 2.0})
    do(work_of(servers, output, redo="all"), wanted_of(str(ads)))
    assert len(servers.asked) == asked + 8


def test_a_bucket_is_listed_and_written(servers: FakeServers, ads: Path, tmp_path: Path, s3: str) -> None:
    expected = one_machine(servers, tmp_path)
    put_files(ads)
    output = "s3://ads/captions"
    do(work_of(servers, output), wanted_of("s3://ads/in"))
    assert records_of(output) == expected
    assert compact_all(output) > 0
    asked = len(servers.asked)
    (outcome,) = do(work_of(servers, output), wanted_of("s3://ads/in"))
    assert (outcome["reused"], outcome["requests"], len(servers.asked)) == (5, 0, asked)
    assert records_of(output, write=True) == expected
    assert "results.json" in Objects(output).names("")


def test_a_bucket_is_listed_page_by_page(ads: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    put_files(ads, "pages")
    found = list(stream(wanted_of("s3://ads/pages")))
    assert [(it.position, it.where.rpartition("/")[2]) for it in found] == list(
        enumerate(["0000.png", "0001.png", "0002.png", "0003.png", "broken.png", "copy.png"])
    )


def test_a_manifest_in_a_bucket(
    servers: FakeServers, ads: Path, tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs  # noqa: PLC0415  # a second

    (ads / "list.csv").write_text("file,n\n0000.png,1\n")
    put_files(ads, "listed")
    done = run(servers, "--manifest", "s3://ads/listed/list.csv", "--languages", "", cwd=tmp_path)
    assert (done.returncode, results(tmp_path)["files"][0]["file"]) == (0, "0000.png"), done.stderr
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    without_key = s3fs.S3FileSystem(skip_instance_cache=True)
    monkeypatch.setattr("client.sources.manifest.open_store", lambda url: (without_key, url.removeprefix("s3://")))
    with pytest.raises(UsageError, match=r"^manifest s3://ads/listed/list.csv: Unable to locate credentials"):
        next(rows("s3://ads/listed/list.csv", None))


def test_an_object_that_is_not_there_and_one_that_is(s3: str, tmp_path: Path) -> None:
    for place in (str(tmp_path / "here"), "s3://ads/objects"):
        objects = Objects(place)
        assert (objects.get(["a/b"]), objects.names("a")) == ({}, [])
        objects.put({"a/b": b"1", "a/c/d": b"2"})
        objects.put({"a/b": b"3"})
        assert objects.get(["a/b", "a/c/d", "e"]) == {"a/b": b"3", "a/c/d": b"2"}
        assert objects.names("a") == ["a/b", "a/c/d"]
        assert objects.names_below(["a", "f"]) == {"a": ["a/b", "a/c/d"], "f": []}
        objects.delete(["a/b", "e"])
        assert objects.names("") == ["a/c/d"]
        assert [objects.create(name, b"4") for name in ("f", "f", "a/c/d")] == [True, False, False]
        assert objects.get(["f", "a/c/d"]) == {"f": b"4", "a/c/d": b"2"}
        objects.delete(["a/c/d", "f"])
    assert list((tmp_path / "here").iterdir()) == []  # nor is a folder left
    with pytest.raises(LedgerError, match="s3://nowhere/at/all: cannot be written"):
        Objects("s3://nowhere/at/all").put({"a": b"1"})
    with pytest.raises(UsageError, match="no way known"):
        Objects("nowhere://at/all")


def test_of_two_docs_about_the_same_one_stands_in_whatever_order(tmp_path: Path) -> None:
    def doc(state: str, updated: float, text: str, *languages: str) -> Any:
        answer = dict.fromkeys(ANSWER) | {"unit": "u", "task": "t", "prompt_hash": "p", "model": "m", "params": "{}"}
        answer |= {"state": state, "updated": updated, "text": text, "run": 1}
        rows = [{"language": code, "texts": f'["{text}"]', "doubts": "[]", "verdicts": "{}"} for code in languages]
        media = {"sha256": "u", "kind": "image", "facts": None, "warnings": "[]", "error": None, "probe": None}
        return {
            "content": "u",
            "media": media | {"spent_s": updated},
            "unit": None,
            "answer": answer,
            "translations": rows,
        }

    docs = [
        doc("done", 1.0, "old", "spa"),
        doc("done", 2.0, "new"),
        doc("done", 2.0, "new", "fra"),
        doc("failed", 3.0, ""),
    ]
    for order in itertools.permutations(docs):
        ledger = Ledger(tmp_path)
        ledger._connection.execute("DELETE FROM answers")
        ledger._connection.execute("DELETE FROM media")
        for each in (*order, *order):
            take(ledger._connection, each)
        rows = ledger._connection.execute("SELECT state, text FROM answers").fetchall()
        translated = ledger._connection.execute("SELECT language FROM translations").fetchall()
        assert (rows, translated) == ([("done", "new")], [("fra",)])
        assert ledger._connection.execute("SELECT spent_s FROM media").fetchall() == [(3.0,)]
        ledger.close()


def test_half_of_an_object_is_passed_over(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    objects.put({"journal/a": b'{"content": "a', "journal/b": b'{"content": "b"}'})
    assert read_docs(objects, objects.names("journal")) == [{"content": "b"}]


def test_a_table_is_read_where_its_contents_are(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "many")
    do(work_of(servers, output), wanted_of(str(ads)))
    objects = Objects(output)
    contents = sorted({name.split("/")[2] for name in objects.names("journal")})
    docs = {
        content: sorted(map(str, read_docs(objects, objects.names(f"journal/{content[:1]}/{content}"))))
        for content in contents
    }
    compact_all(output)
    tables = Tables(objects)
    for content in contents:
        found = tables.docs([content])
        texts = [doc["answer"]["text"] for doc in found if doc["answer"]]
        assert texts == [text for text in texts if any(text in doc for doc in docs[content])]
        assert {doc["content"] for doc in found} == {content}
        assert all(len(doc["translations"]) == 1 for doc in found if doc["answer"])
    assert len([doc for doc in tables.docs(contents) if doc["answer"]]) == 4
    assert tables.docs(["f" * 64]) == []


def test_blocks_grow_as_files_are_listed(tmp_path: Path) -> None:
    """Few files are spread over all actors; of many, no block is large beside what each actor has had."""
    for number in range(700):
        (tmp_path / f"{number:03}.png").write_bytes(b"?")
    for actors, sizes in ((1, [8] * 9 + [9, 10, 11, 12, 14, 16]), (16, [8] * 87)):
        found = [read_block(row["sources"]) for row in blocks(wanted_of(str(tmp_path)), actors)]
        assert [len(block) for block in found][: len(sizes)] == sizes
        assert [source.position for block in found for source in block] == list(range(700))
    assert [_size(position, 2) for position in (0, 127, 160, 4096, 10**9)] == [8, 8, 10, 256, 256]


def test_all_blocks_of_an_actor_share_its_decoders(
    servers: FakeServers, ads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To fork one takes as long as several small pictures."""
    forked = list[int]()
    fork = ForkServer.fork
    monkeypatch.setattr(ForkServer, "fork", lambda self: forked.append(1) or fork(self))
    monkeypatch.setattr("client.cluster.listing.SMALLEST_BLOCK", 2)
    outcomes = do(work_of(servers, str(tmp_path / "many")), wanted_of(str(ads)))
    assert [outcome["done"] for outcome in outcomes] == [2, 2, 1]
    assert len(forked) == 1


def test_a_file_below_two_paths_counts_once_and_live_photos_are_seen(tmp_path: Path) -> None:
    for name in ("a/x.heic", "a/x.mov", "a/b/y.png", "a/z.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")
    found = list(stream(wanted_of(str(tmp_path / "a" / "b"), str(tmp_path / "a"), str(tmp_path / "a" / "z.png"))))
    assert [it.path.name for it in found] == ["y.png", "x.heic", "x.mov", "z.png"]
    assert [it.position for it in found] == [0, 1, 2, 3]
    assert [it.live_photo_of for it in found][2] == found[1].name


def test_what_ends_a_run_is_told(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    work = work_of(servers, str(tmp_path / "many"), languages=["tlh"])
    (outcome,) = do(work, wanted_of(str(ads)))
    assert outcome["usage"] is True
    assert "tlh" in outcome["fatal"]
    (outcome,) = do(work, wanted_of(str(tmp_path / "nowhere")))
    assert outcome["fatal"].startswith("no such file or folder")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "s3://ads/x"], "a URL takes --ray"),
        (["--ray", "local", "--format", "csv"], "--format does not go with --ray: babelview export"),
        (["--ray", "local", "--dry-run"], "--dry-run does not go with --ray"),
        (["--ray", "local", "--output", "gopher://x"], "no way known"),
        (["--ray", "local", "--redo", "nothing"], "--redo nothing: must be"),
        (["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: no cluster there: Connection refused"),
        (["--ray", "ray://head:10001"], "must be local, auto or HOST:PORT"),
        (["--ray", "yes"], "must be local, auto or HOST:PORT"),
        (["--ray", "Lokal"], "on a machine of the cluster, not 'Lokal' (did you mean local?)"),
        (["--ray", "head:0"], "not 'head:0'"),
        (["--ray", "a..b:1"], "--ray a..b:1: no cluster there: "),
        (["--ray", "127.0.0.1:1", "--base-url", "http://127.0.0.1:2"], "--ray 127.0.0.1:1: no cluster there"),
    ],
)
def test_wrong_options_are_told_before_anything_starts(
    servers: FakeServers, ads: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = run(servers, "ads", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "captions").exists()


def test_a_path_that_is_not_there_is_told_before_anything_starts(servers: FakeServers, tmp_path: Path) -> None:
    done = run(servers, "nowhere", "--ray", "local", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "Error: no such file or folder: nowhere\n")


def test_what_is_no_cluster_is_told_before_ray_looks_for_minutes(servers: FakeServers, tmp_path: Path) -> None:
    address = servers.url.removeprefix("http://")
    done = run(servers, "ads", "--ray", address, cwd=tmp_path)
    assert (done.returncode, f"--ray {address}: no cluster there, but something else" in done.stderr) == (2, True)
