"""What the gateway says of itself: request ids, logs, metrics, discovery, its description."""

from __future__ import annotations

import json
import logging
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import pytest
from gateway_rig import HELLO, PICTURE, QUICK, Engine, picture_model, serving, short_folder, until
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from server.errors import RequestError
from server.gateway.config import GatewayConfig, Limits, Timeouts
from server.gateway.logs import JsonLines
from server.gateway.openapi import description
from server.gateway.parameters import CHAT, COMPLETION, check_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web


class Counting(Engine):
    """An engine with usage in its answers, and metrics of its own."""

    def routes(self, app: web.Application) -> None:
        app.router.add_get("/metrics", self.metrics)

    async def metrics(self, _: web.Request) -> web.Response:
        return aiohttp.web.Response(text="vllm:num_requests_running 3\n")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        answer = await super().chat(request)
        if isinstance(answer, aiohttp.web.Response) and answer.status == 200:
            said = json.loads(answer.body)  # type: ignore[arg-type]
            said["choices"][0]["message"]["content"] = 'say "usage":{"prompt_tokens":7777}'
            usage = {"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
            return aiohttp.web.json_response(said | {"usage": usage})
        return answer


@pytest.fixture
async def engines() -> AsyncIterator[dict[str, Any]]:
    """Engines a and b of one model, and the gateway's address."""
    with short_folder() as folder:
        async with AsyncExitStack() as opened:
            found: dict[str, Any] = {
                name: await opened.enter_async_context(Counting(folder / f"{name}.sock").running()) for name in "ab"
            }
            config = GatewayConfig(models=(picture_model(folder, "a", "b"),), health=QUICK)
            yield found | {"url": await opened.enter_async_context(serving(config))}


async def ask(url: str, request_id: str | None = None, **options: Any) -> Any:
    """Ask once; the raw answer."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as sdk:
        headers = {"X-Request-Id": request_id} if request_id else {}
        return await sdk.chat.completions.with_raw_response.create(
            model=PICTURE,
            messages=HELLO,
            extra_headers=headers,
            **options,  # type: ignore[arg-type]
        )


async def scrape(url: str) -> dict[tuple[str, ...], float]:
    """Values by name and labels, which are in the order of their names."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.mark.parametrize(("given", "passed"), [("job-7.a_b:c", True), ("a b", False), ("x" * 65, False)])
async def test_a_request_id_that_may_stand_in_a_log_goes_all_the_way(
    engines: dict[str, Any], given: str, passed: bool
) -> None:
    answer = await ask(engines["url"], given)
    seen = next(e for e in (engines["a"], engines["b"]) if e.bodies).headers["X-Request-ID"]
    assert answer.headers["X-Request-Id"] == seen
    assert (seen == given) is passed


async def test_a_trace_goes_on_in_the_engine(engines: dict[str, Any]) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for given, passed in ((trace, True), ("nonsense", False)):
        async with aiohttp.ClientSession(headers={"traceparent": given}) as http:
            body = {"model": PICTURE, "messages": HELLO}
            await http.post(f"{engines['url']}/v1/chat/completions", json=body)
        seen = {e.headers.get("traceparent") for e in (engines["a"], engines["b"])}
        assert (given in seen) is passed


async def test_requests_tokens_and_replicas_are_counted(engines: dict[str, Any]) -> None:
    url = engines["url"]
    for _ in range(3):
        await ask(url)
    with pytest.raises(openai.BadRequestError):
        await ask(url, n=100)
    async with aiohttp.ClientSession() as http:
        await http.post(f"{url}/v1/chat/completions", json={"model": "made up", "messages": HELLO})
    found = await scrape(url)
    by_replica = [found.get(("babelview_gateway_requests_total", PICTURE, name, "200"), 0) for name in "ab"]
    assert sum(by_replica) == 3
    assert found["babelview_gateway_tokens_total", "prompt", PICTURE] == 36
    assert found["babelview_gateway_tokens_total", "completion", PICTURE] == 15
    assert found["babelview_gateway_refused_total", "invalid_parameter"] == 1
    assert found["babelview_gateway_refused_total", "model_not_found"] == 1
    assert found["babelview_gateway_request_seconds_count", PICTURE] == 4
    assert found["babelview_gateway_replica_up", PICTURE, "a"] == 1
    assert found["babelview_gateway_in_flight",] == 0
    assert not any("made up" in labels for labels in found)


async def test_a_stream_has_a_first_piece_and_a_failing_replica_its_retry(engines: dict[str, Any]) -> None:
    url = engines["url"]
    for name in "ab":
        engines[name].go_on.set()
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x") as sdk:
        stream = await sdk.chat.completions.create(model=PICTURE, messages=HELLO, stream=True)  # type: ignore[call-overload]
        _ = [chunk async for chunk in stream]
    engines["a"].behave = "shut down"
    for _ in range(6):
        await ask(url, user="shut down")
    found = await scrape(url)
    assert found["babelview_gateway_first_token_seconds_count", PICTURE] == 1
    refused = sum(b"shut down" in body for body in engines["a"].bodies)
    assert found["babelview_gateway_retries_total", PICTURE] == refused


async def test_prometheus_finds_all_parts_through_the_gateway(engines: dict[str, Any]) -> None:
    url = engines["url"]
    async with aiohttp.ClientSession() as http:
        targets = await (await http.get(f"{url}/metrics/targets")).json()
        assert [t["labels"]["replica"] for t in targets] == ["a", "b"]
        for target in targets:
            path = target["labels"]["__metrics_path__"]
            async with http.get(f"http://{target['targets'][0]}{path}") as response:
                assert await response.text() == "vllm:num_requests_running 3\n"
        assert (await http.get(f"{url}/metrics/of/c")).status == 404


async def test_a_line_per_request_for_people_and_for_programs(
    engines: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "babelview.access"):
        await ask(engines["url"], "job-1")
        async with aiohttp.ClientSession() as http:
            await http.get(f"{engines['url']}/v1/models/a%0ab")
    people, broken = [r for r in caplog.records if r.name == "babelview.access"]
    said = people.getMessage()
    assert said.startswith("job-1 POST /v1/chat/completions 200 ")
    assert f"model={PICTURE}" in said
    assert "tokens=12+5" in said
    assert "\n" not in broken.getMessage()
    line = json.loads(JsonLines().format(people))
    assert {"id": "job-1", "status": 200, "model": PICTURE, "prompt_tokens": 12}.items() <= line.items()


async def test_a_client_that_does_not_read_does_not_hold_the_engine() -> None:
    class Flood(Engine):
        async def stream(self, request: web.Request) -> web.StreamResponse:
            response = aiohttp.web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            while True:
                await response.write(b"data: " + b"x" * (1 << 16) + b"\n\n")

    with short_folder() as folder:
        config = GatewayConfig(models=(picture_model(folder),), timeouts=Timeouts(between_bytes_s=0.4))
        async with (
            Flood(folder / f"{PICTURE}.sock").running() as engine,
            serving(config) as url,
            aiohttp.ClientSession() as http,
        ):
            body = {"model": PICTURE, "messages": HELLO, "stream": True}
            response = await http.post(f"{url}/v1/chat/completions", json=body)
            assert response.status == 200
            await until(engine.aborted.is_set)


WORDS = {"model": PICTURE, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("name", "body", "right"),
    [
        ("ChatRequest", WORDS | {"temperature": None, "stream": None, "n": None, "stop": None, "seed": None}, True),
        ("ChatRequest", WORDS | {"max_tokens": None, "max_completion_tokens": None, "top_logprobs": None}, True),
        ("ChatRequest", WORDS | {"max_tokens": -1}, False),
        ("ChatRequest", WORDS | {"stream": 1}, False),
        ("CompletionRequest", {"model": PICTURE, "prompt": "hi"}, True),
        ("CompletionRequest", {"model": PICTURE, "prompt": ["hi", "ho"]}, True),
        ("CompletionRequest", {"model": PICTURE, "prompt": [1, 2, 3] * 20}, True),
        ("CompletionRequest", {"model": PICTURE, "prompt": [[1, 2], [3]]}, True),
        ("CompletionRequest", {"model": PICTURE, "prompt": ["hi"] * 33}, False),
        ("CompletionRequest", {"model": PICTURE, "prompt": [[1]] * 33}, False),
    ],
)
def test_the_description_takes_what_the_gateway_takes(
    tmp_path: Path, name: str, body: dict[str, Any], right: bool
) -> None:
    said = {"$ref": f"#/components/schemas/{name}", "components": description()["components"]}
    assert Draft202012Validator(said).is_valid(body) is right
    known = CHAT if name == "ChatRequest" else COMPLETION
    with nullcontext() if right else pytest.raises(RequestError):
        check_parameters(body, known, picture_model(tmp_path), Limits())


def test_a_field_of_a_form_that_may_be_given_again_is_a_list() -> None:
    form = description()["components"]["schemas"]["SoundForm"]["properties"]
    repeated = {name for name, schema in form.items() if schema.get("type") == "array"}
    assert repeated == {"timestamp_granularities[]"}


async def test_the_description_says_what_is_taken(engines: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{engines['url']}/openapi.json") as response:
        said = await response.json()
    assert said["components"]["schemas"]["ChatRequest"]["properties"].keys() == CHAT
