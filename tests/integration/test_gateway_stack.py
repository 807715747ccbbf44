"""The gateway in the real stack: what it says of the engines behind it, and what it tells them."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
from PIL import Image

if TYPE_CHECKING:
    from scripts.demo.stack import Stack

MODEL = "llava-next-video-7b"
PICTURE_MODEL = "llama-3.2-11b-vision"
SPEECH_MODEL = "whisper-large-v3-turbo"
QUESTION: list[Any] = [{"role": "user", "content": "Describe this."}]


async def test_metrics_of_all_parts_are_found_through_the_gateway(stack: Stack) -> None:
    base = stack.endpoint.removesuffix("/v1")
    async with aiohttp.ClientSession() as http:
        targets = await (await http.get(f"{base}/metrics/targets")).json()
        found = {target["labels"]["replica"]: target["labels"]["__metrics_path__"] for target in targets}
        assert found.keys() == {MODEL, PICTURE_MODEL, SPEECH_MODEL, "translator", "captioner"}
        for name in (MODEL, PICTURE_MODEL, SPEECH_MODEL):
            page = await (await http.get(base + found[name])).text()
            assert "vllm:num_requests_running" in page
        assert (await http.get(base + found["translator"])).status == 200
        assert "babelview_captioner_requests" in await (await http.get(base + found["captioner"])).text()
        assert 'replica_up{model="llava' in await (await http.get(f"{base}/metrics")).text()


async def test_a_request_id_reaches_the_engine_and_comes_back(stack: Stack) -> None:
    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as sdk:
        answer = await sdk.chat.completions.with_raw_response.create(
            model=MODEL, messages=QUESTION, max_tokens=2, extra_headers={"X-Request-Id": "ad-0007.describe"}
        )
    assert answer.headers["X-Request-Id"] == "ad-0007.describe"
    assert answer.parse().id == "chatcmpl-ad-0007.describe"  # vLLM's own


async def test_a_client_that_goes_away_leaves_no_request_in_the_engine(stack: Stack) -> None:
    base = stack.endpoint.removesuffix("/v1")

    async def running() -> float:
        async with aiohttp.ClientSession() as http, http.get(f"{base}/metrics/of/{MODEL}") as response:
            lines = (await response.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:num_requests_running"))

    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as sdk:
        long: dict[str, Any] = {"max_tokens": 900, "stream": True, "extra_body": {"ignore_eos": True}}
        streams = [await sdk.chat.completions.create(model=MODEL, messages=QUESTION, **long) for _ in range(4)]
        for stream in streams:
            await anext(aiter(stream))
        assert await running() > 0
        for stream in streams:
            await stream.close()
        async with asyncio.timeout(30):
            while await running():  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


def shown(color: str) -> dict[str, Any]:
    data = io.BytesIO()
    Image.new("RGB", (120, 120), color).save(data, "PNG")
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"},
    }


async def test_a_conversation_goes_on_whatever_pictures_lie_behind_it(stack: Stack) -> None:
    def question(color: str) -> list[Any]:
        return [{"role": "user", "content": [shown(color), {"type": "text", "text": "Describe this picture."}]}]

    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as sdk:
        conversation: list[Any] = []
        for number in range(10):
            conversation += question("red" if number % 2 else "blue")
            raw = await sdk.chat.completions.with_raw_response.create(
                model=PICTURE_MODEL, messages=conversation, max_tokens=8, temperature=0
            )
            left_out = raw.headers.get("X-Babelview-Left-Out", "")
            assert left_out.startswith(f"{number - 7} earlier picture" if number > 7 else "")
            said = raw.parse().choices[0].message.content
            assert said
            conversation.append({"role": "assistant", "content": said})


async def test_a_prompt_is_echoed(stack: Stack) -> None:
    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as sdk:
        answer = await sdk.completions.create(
            model=PICTURE_MODEL, prompt="Describe", max_tokens=2, echo=True, logprobs=1
        )
    assert answer.choices[0].text.startswith("Describe")
