"""Conversations with more pictures than their model takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import orjson
import pytest
from gateway_rig import PICTURE as MODEL
from gateway_rig import VIDEO, Engine, gateway, image, picture_model, short_folder

from server.gateway.history import leave_out_earlier
from server.gateway.responses import ChatView

if TYPE_CHECKING:
    from server.gateway.config import ServedModel

FOLDER = Path()
PICTURES = picture_model(FOLDER, max_images=2)
VIDEOS = picture_model(FOLDER, name=VIDEO, max_images=0, max_frames=8)


def media(name: str, kind: str = "image_url") -> dict[str, Any]:
    return {"type": kind, kind: {"url": f"data:{name}"}}


def turn(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "?"}]}, {"role": "assistant", "content": "!"}]


def shown(messages: list[dict[str, Any]]) -> list[str]:
    parts = [part for message in messages for part in message["content"] if isinstance(part, dict)]
    return [part[part["type"]]["url"][5:] if part["type"] != "text" else part["text"] for part in parts]


PICTURE, VIDEO_LEFT = "(an earlier picture, not shown again)", "(an earlier video, not shown again)"


def test_what_fits_stays_as_it_is() -> None:
    messages = [*turn(media("a")), *turn(media("b"))[:1]]
    assert leave_out_earlier(messages, PICTURES) is None
    assert shown(messages) == ["a", "?", "b", "?"]


def test_the_earliest_are_left_out_until_the_others_fit() -> None:
    messages = [*turn(media("a"), media("b")), *turn(media("c")), *turn(media("d"))[:1]]
    said = leave_out_earlier(messages, PICTURES)
    assert said == "2 earlier pictures left out: picture-model takes 2 a request"
    assert shown(messages) == [PICTURE, PICTURE, "?", "c", "?", "d", "?"]


def test_a_question_without_a_picture_keeps_the_latest() -> None:
    messages = [*turn(media("a")), *turn(media("b")), *turn(media("c")), *turn()[:1]]
    assert leave_out_earlier(messages, PICTURES) == "1 earlier picture left out: picture-model takes 2 a request"
    assert shown(messages) == [PICTURE, "?", "b", "?", "c", "?", "?"]


def test_what_is_new_is_never_left_out() -> None:
    messages = [*turn(media("a")), *turn(media("b"), media("c"), media("d"))[:1]]
    assert leave_out_earlier(messages, PICTURES)
    assert shown(messages) == [PICTURE, "?", "b", "c", "d", "?"]
    alone = turn(media("b"), media("c"), media("d"))[:1]
    assert leave_out_earlier(alone, PICTURES) is None


def test_a_model_of_videos_sees_the_latest() -> None:
    messages = [*turn(media("a", "video_url")), *turn(media("b", "video_url"))[:1]]
    assert leave_out_earlier(messages, VIDEOS) == "1 earlier video left out: video-model takes 1 a request"
    assert shown(messages) == [VIDEO_LEFT, "?", "b", "?"]


@pytest.mark.parametrize("model", [PICTURES, VIDEOS])
def test_what_a_model_does_not_take_at_all_is_left_for_its_refusal(model: ServedModel) -> None:
    kind = "video_url" if model is PICTURES else "image_url"
    messages = [*turn(media("a", kind)), *turn(media("b", kind))[:1]]
    assert leave_out_earlier(messages, model) is None


@pytest.mark.parametrize("messages", [None, "x", [], [None], [{}], [{"role": [], "content": 1}], [{"content": [None]}]])
def test_what_is_no_conversation_is_left_for_its_refusal(messages: Any) -> None:
    assert leave_out_earlier(messages, PICTURES) is None


def test_items_of_a_response_are_left_out_where_they_stand() -> None:
    items = [
        {"role": role, "content": [{"type": "input_image", "image_url": f"data:{name}"}] if name else "!"}
        for role, name in (("user", "a"), ("assistant", ""), ("user", "b"), ("assistant", ""), ("user", "c"))
    ]
    view = ChatView({"input": items})
    assert leave_out_earlier(view.chat["messages"], PICTURES)
    assert view.write_back()
    assert items[0]["content"] == [{"type": "input_text", "text": PICTURE}]
    assert [item["content"][0]["image_url"] for item in (items[2], items[4])] == ["data:b", "data:c"]  # type: ignore[index]


async def test_the_engine_gets_what_is_left_and_the_client_is_told() -> None:
    with short_folder() as folder:
        async with (
            Engine(folder / f"{MODEL}.sock").running() as engine,
            gateway(folder) as address,
            openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as sdk,
        ):
            said = {"role": "assistant", "content": "!"}
            for turns, left_out in ((2, None), (3, "1 earlier picture left out: picture-model takes 2 a request")):
                messages: Any = [*[*image(), said] * (turns - 1), *image()]
                raw = await sdk.chat.completions.with_raw_response.create(model=MODEL, messages=messages)
                assert raw.headers.get("X-Babelview-Left-Out") == left_out
                sent = orjson.loads(engine.bodies[-1])["messages"]
                kinds = [part["type"] for message in sent if message["role"] == "user" for part in message["content"]]
                assert kinds == [*(["text"] if left_out else []), "image_url", "image_url"]
            with pytest.raises(openai.BadRequestError, match="3 pictures, but picture-model takes at most 2"):
                await sdk.chat.completions.create(model=MODEL, messages=image(count=3))  # type: ignore[arg-type]
