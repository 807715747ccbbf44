"""Every behaviour that LibreTranslate's own API tests check, files and suggestions aside."""

from typing import Any

import pytest
from translator_toy import Client, Engine, serving

GOOD = {"q": "Hello", "source": "en", "target": "fr", "format": "text"}
MISSING = {name: value for name, value in GOOD.items() if name != "q"}


@pytest.fixture
async def client() -> Any:
    async with serving(Engine()) as client:
        yield client


async def answer(client: Client, method: str, path: str, **call: Any) -> tuple[int, Any]:
    async with client.request(method, path, **call) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.text()


@pytest.mark.parametrize("slash", ["", "/"])
async def test_what_they_check_of_each_path(client: Client, slash: str) -> None:
    async def ask(method: str, path: str, **call: Any) -> tuple[int, Any]:
        return await answer(client, method, path + slash, **call)

    assert await ask("GET", "/health") == (200, {"status": "ok"})
    assert (await ask("POST", "/health"))[0] == 405
    status, spec = await ask("GET", "/spec")
    assert status == 200
    assert {"/translate", "/detect", "/languages", "/health", "/v1/translations"} <= set(spec["paths"])
    assert (await ask("POST", "/spec"))[0] == 405
    status, said = await ask("POST", "/translate", data=GOOD)
    assert (status, "translatedText" in said) == (200, True)
    status, said = await ask("POST", "/translate", json=GOOD | {"q": ["Hello", "World"]})
    assert (status, len(said["translatedText"])) == (200, 2)
    unknown = (400, {"error": "zz is not supported"})
    assert await ask("POST", "/translate", data=GOOD | {"target": "zz"}) == unknown
    assert await ask("POST", "/translate", data=GOOD | {"source": "zz"}) == unknown
    assert await ask("POST", "/translate", data=MISSING) == (400, {"error": "Invalid request: missing q parameter"})
    assert (await ask("GET", "/frontend/settings"))[0] == 200
    status, said = await ask("POST", "/detect", data={"q": "Hello"})
    assert (status, set(said[0])) == (200, {"confidence", "language"})
    status, said = await ask("POST", "/detect")
    assert (status, "error" in said) == (400, True)
    assert (await ask("GET", "/detect"))[0] == 405
    status, said = await ask("GET", "/languages")
    assert status == 200
    assert {"code", "name"} <= set(said[0])
    assert (await ask("POST", "/languages"))[0] == 405
