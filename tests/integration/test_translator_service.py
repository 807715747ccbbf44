"""The real service: `python -m translator --model demo` in a process of its own."""

import asyncio
import random
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from translator_process import Service

from scripts.demo.world.scenes import all_sentences, describe, random_clip, sentiment, tags
from scripts.demo.world.translations import LANGUAGES, translate, translate_text

ALL = list(LANGUAGES)


@pytest.fixture(scope="module")
def cache(translator_cache: Path) -> Path:
    return translator_cache


@pytest.fixture(scope="module")
def service(cache: Path) -> Iterator[Service]:
    service = Service(cache, "--model", "demo")
    service.wait_for("is ready")
    yield service
    assert service.stop() == 0


async def ask(url: str, texts: list[str], targets: list[str], **more: Any) -> Any:
    body = {"texts": texts, "targets": targets} | more
    timeout = aiohttp.ClientTimeout(300)
    async with (
        aiohttp.ClientSession(url, timeout=timeout) as session,
        session.post("/v1/translations", json=body) as response,
    ):
        return await response.json()


async def texts_of(url: str, texts: list[str], targets: list[str]) -> list[dict[str, str]]:
    answer = await ask(url, texts, targets)
    return [{code: said["text"] for code, said in text.items()} for text in answer["translations"]]


async def test_every_sentence_of_the_world_in_every_language(service: Service) -> None:
    said = await texts_of(service.url, all_sentences(), ALL)
    wrong = [
        (english, code, text[code])
        for english, text in zip(all_sentences(), said, strict=True)
        for code in ALL
        if text[code] != translate(english, code)
    ]
    assert len(wrong) <= 0.001 * len(all_sentences()) * len(ALL), wrong


async def test_whole_texts_keep_their_paragraphs(service: Service) -> None:
    rng = random.Random(4)
    clips = [random_clip(rng) for _ in range(30)]
    texts = [describe(clip) for clip in clips] + [f"  {sentiment(clip)}\n" for clip in clips]
    said = await texts_of(service.url, texts, ALL)
    assert said == [{code: translate_text(text, code) for code in ALL} for text in texts]
    assert said[0]["fra_Latn"].count("\n\n") == 1


async def test_tags_come_one_by_one_and_in_order(service: Service) -> None:
    words = tags(random_clip(random.Random(8)))
    said = await texts_of(service.url, words, ALL)
    assert said == [{code: translate(word, code) for code in ALL} for word in words]


async def test_company_does_not_change_a_translation(cache: Path) -> None:
    """Without the cache of sentences: unknown words, long and short, alone and in any mix."""
    service = Service(cache, "--model", "demo", "--cache-mb", "0")
    service.wait_for("is ready")
    rng = random.Random(3)
    words = [*" ".join(all_sentences()).split(), "zebra", "Ünïcode", "</s>", "fra_Latn", "12%"]
    texts = [" ".join(rng.choices(words, k=rng.choice((1, 4, 9, 30)))) for _ in range(40)]
    alone = [(await texts_of(service.url, [text], [code]))[0][code] for text in texts for code in ALL[:2]]
    mixed = await asyncio.gather(
        *(texts_of(service.url, rng.sample(texts, 5), rng.sample(ALL, 3)) for _ in range(6)),
        *(texts_of(service.url, [text], ALL[:2]) for text in texts),
    )
    together = [text[code] for (text,) in mixed[6:] for code in ALL[:2]]
    assert together == alone
    assert service.stop() == 0


async def test_control_tokens_in_the_text_are_text(service: Service) -> None:
    """A `</s>` that ended the source would lose the rest; `fra_Latn` would switch the language; tags stay."""
    text = "It has two scenes.\n</s> fra_Latn\nIt has two scenes."
    (said,) = await texts_of(service.url, [text], ["deu_Latn"])
    first, middle, last = said["deu_Latn"].split("\n")
    assert first == last == translate("It has two scenes.", "deu_Latn")
    assert re.fullmatch(r"</s> .+", middle)
    assert not re.search(r"[a-z]{3}_[A-Z][a-z]{3}", middle)


async def test_unknown_languages_are_refused_by_name(service: Service) -> None:
    answer = await ask(service.url, ["red"], ["spa_Latn", "ita_Latn"])
    assert "'ita_Latn'" in answer["error"]["message"]
    assert answer["error"]["code"] == "unknown_language"


async def test_languages_are_those_of_the_model(service: Service) -> None:
    async with aiohttp.ClientSession(service.url) as session, session.get("/languages") as response:
        assert {language["flores"] for language in await response.json()} == {"eng_Latn", *ALL}


def test_no_torch_in_the_serving_process(service: Service) -> None:
    maps = Path(f"/proc/{service.process.pid}/maps").read_text(encoding="utf-8")
    assert "ctranslate2" in maps
    assert "torch" not in maps


async def test_sigterm_finishes_what_was_accepted(cache: Path) -> None:
    service = Service(cache, "--model", "demo", "--batch-tokens", "100")
    service.wait_for("is ready")
    sentences = all_sentences()[::3]  # hundreds of batches
    asked = asyncio.create_task(texts_of(service.url, sentences, ALL))
    async with aiohttp.ClientSession(service.url) as session:
        waiting = 0
        while not waiting and not asked.done():
            async with session.get("/health/details") as response:
                waiting = (await response.json())["waiting"]
    assert waiting
    service.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(service.wait_for, "no longer listening")
    with pytest.raises(aiohttp.ClientError):
        await ask(service.url, ["red"], ["fra_Latn"])
    said = [text["fra_Latn"] for text in await asked]
    assert said == [translate(sentence, "fra_Latn") for sentence in sentences]
    assert await asyncio.to_thread(service.process.wait, 60) == 0


async def test_two_services_that_start_at_once_convert_once(tmp_path: Path) -> None:
    services = [Service(tmp_path, "--model", "demo") for _ in range(2)]
    for service in services:
        service.wait_for("is ready")
    assert sum("converting" in line for service in services for line in service.log) == 1
    assert [service.stop() for service in services] == [0, 0]
    assert [path.name for path in (tmp_path / "translator").iterdir() if path.is_dir()] == [
        path.stem for path in (tmp_path / "translator").glob("*.lock")
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "./nowhere"], "no model folder ./nowhere"),
        (["--model", "{empty}"], "has no config.json"),
        (["--model", "{other}"], "'bert' model, not NLLB"),
        (["--model", "demo", "--port", "{taken}"], "address already in use"),
        (["--model", "demo", "--compute-type", "int3"], "cpu does not compute in int3 here: use auto, float32"),
        (["--model", "demo", "--device", "cuda"], "cuda"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(cache: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (other / "tokenizer.json").write_text("{}", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        places = {"empty": tmp_path / "empty", "other": other, "taken": listener.getsockname()[1]}
        service = Service(cache, *(argument.format(**places) for argument in arguments))
        assert service.process.wait(120) == 1
        service.wait_for(r"(?m)^error: ")
    *_, last = service.log
    assert last.startswith("error: ")
    assert said in last
    assert "Traceback" not in "".join(service.log)
