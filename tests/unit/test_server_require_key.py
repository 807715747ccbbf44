"""An engine that has a key wants it for everything but its health."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from server.engines.engine_health import PATH as CORE_HEALTH
from server.engines.require_key import RequireKey

KEY = (b"authorization", b"Bearer secret")
CLOSED = (
    *("/invocations", "/tokenize", "/detokenize", "/metrics", "/metrics/", "/ping", "/scale_elastic_ep", "/docs"),
    *("/generative_scoring", "/v1/chat/completions", "/", "", "/health/", "//health", "/health/../invocations"),
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "secret")


async def sent(
    path: str, *headers: tuple[bytes, bytes], kind: str = "http", method: str = "POST", api_key: Any = None
) -> list[dict[str, Any]]:
    """All that is answered; 204 comes from the application behind."""
    answer: list[dict[str, Any]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})

    async def send(message: Any) -> None:
        answer.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    app = SimpleNamespace(state=SimpleNamespace(args=SimpleNamespace(api_key=api_key)))
    scope = {"type": kind, "method": method, "path": path, "headers": list(headers), "app": app}
    await RequireKey(behind)(scope, receive, send)
    return answer


async def status(path: str, *headers: tuple[bytes, bytes], **more: Any) -> int:
    return int((await sent(path, *headers, **more))[0]["status"])


@pytest.mark.parametrize("path", CLOSED)
async def test_everything_wants_the_key(path: str) -> None:
    assert await status(path) == 401
    assert await status(path, method="OPTIONS") == 401
    assert await status(path, (b"host", b"engine"), KEY) == 204


@pytest.mark.parametrize(
    "given",
    [b"Bearer secre", b"Bearer secrets", b"Bearer ", b"Bearer", b"", b"secret", b"Basic secret", b"Bearer \xff"],
)
async def test_another_key_is_none(given: bytes) -> None:
    assert await status("/invocations", (b"authorization", given)) == 401
    assert await status("/invocations", (b"authorization", given), KEY) == 401  # the first one counts, as in vLLM


async def test_the_scheme_may_be_written_in_any_way() -> None:
    assert await status("/invocations", (b"authorization", b"bearer  secret")) == 204


@pytest.mark.parametrize("path", ["/health", CORE_HEALTH])
async def test_probes_need_none(path: str) -> None:
    assert await status(path, method="GET") == 204


async def test_the_keys_are_those_of_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["other", "third"]
    assert await status("/invocations", KEY, api_key=given) == 401
    assert await status("/invocations", (b"authorization", b"Bearer third"), api_key=given) == 204
    monkeypatch.delenv("VLLM_API_KEY")
    assert await status("/invocations", api_key=given) == 401
    assert await status("/invocations") == 204  # there is none
    monkeypatch.setenv("VLLM_API_KEY", "")
    assert await status("/invocations") == 204


async def test_a_websocket_is_closed_before_it_is_open() -> None:
    (refusal,) = await sent("/v1/realtime", kind="websocket")
    assert refusal["type"] == "websocket.close"
    assert await status("/v1/realtime", KEY, kind="websocket") == 204
    assert await status("", kind="lifespan") == 204  # no request
