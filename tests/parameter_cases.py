"""For every parameter that the gateway lets through: what a test asks with it.

A parameter passes only if it stands here: `tests/unit/test_server_gateway_budget.py` compares the names with the
gateway's allow-list, `tests/integration/test_gateway_parameters.py` runs the cases in both engines.
"""

from __future__ import annotations

import json
from typing import Any

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "maxLength": 8}},
    "required": ["colour"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
FUNCTION = {"type": "function", "name": "look", "parameters": SCHEMA}

Cases = dict[str, list[dict[str, Any]]]
"""Parameter -> what is asked, each time with all that it needs beside it."""


def _each(**values: Any) -> Cases:
    return {name: [{name: value}] for name, value in values.items()}


SAMPLING: Cases = {
    **_each(
        max_tokens=4,
        n=2,
        best_of=2,
        temperature=0.7,
        top_p=0.9,
        top_k=5,
        min_p=0.1,
        seed=7,
        frequency_penalty=0.5,
        presence_penalty=0.5,
        repetition_penalty=1.2,
        repetition_detection={"max_pattern_size": 4, "min_count": 3},
        length_penalty=1.5,
        logit_bias={"5": 2.0},
        allowed_token_ids=[5, 6, 7],
        bad_words=["red", "a video"],
        ignore_eos=True,
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        return_token_ids=True,
        thinking_token_budget=4,
        cache_salt="salt",
        priority=0,
        request_id="mine",
        session_id="mine",
        user="me",
    ),
    "stream": [{"stream": True}],
    "stream_options": [{"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}],
    "stream_interval": [{"stream": True, "stream_interval": 2}],
    "min_tokens": [{"min_tokens": 3, "max_tokens": 4}],
    "stop": [{"stop": "red"}, {"stop": ["red", "."], "stream": True}],
    "stop_token_ids": [{"stop_token_ids": [5, 6]}],
    "include_stop_str_in_output": [{"stop": ["red"], "include_stop_str_in_output": True}],
    "add_special_tokens": [{"add_special_tokens": True}, {"add_special_tokens": False}],
    "truncate_prompt_tokens": [{"truncate_prompt_tokens": 1000}, {"truncate_prompt_tokens": -1}],
    "truncation_side": [{"truncate_prompt_tokens": 1000, "truncation_side": side} for side in ("left", "right")],
    "response_format": [
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}},
    ],
    "structured_outputs": [
        {"structured_outputs": {"choice": ["red", "blue"]}},
        {"structured_outputs": {"json": SCHEMA}},
        {"structured_outputs": {"json": json.dumps(SCHEMA)}, "n": 2},
    ],
}
LABELS: Cases = _each(
    metadata={"job": "1"},
    service_tier="auto",
    safety_identifier="me",
    prompt_cache_key="key",
    prompt_cache_options={"ttl": 1},
    prompt_cache_retention="24h",
)
CHAT_CASES: Cases = {
    **SAMPLING,
    **_each(
        max_completion_tokens=4,
        tools=[TOOL],
        parallel_tool_calls=True,
        reasoning_effort="low",
        include_reasoning=False,
        verbosity="low",
        add_generation_prompt=False,
        chat_template_kwargs={"enable_thinking": False},
        documents=[{"title": "a title", "text": "a text"}],
        audio={"voice": "alloy", "format": "mp3"},
        modalities=["text"],
        prediction={"type": "content", "content": "red"},
        moderation={"model": "none"},
        web_search_options={},
        store=False,
    ),
    **LABELS,
    "model": [{}],
    "messages": [{}],
    "logprobs": [{"logprobs": True}, {"logprobs": True, "stream": True}],
    "top_logprobs": [{"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 20, "n": 2}],
    "logprob_token_ids": [{"logprobs": True, "logprob_token_ids": [5, 6]}],
    "return_tokens_as_token_ids": [{"logprobs": True, "return_tokens_as_token_ids": True}],
    "tool_choice": [{"tools": [TOOL], "tool_choice": choice} for choice in ("none", "auto", "required")],
    "continue_final_message": [{"continue_final_message": True, "add_generation_prompt": False}],
}
COMPLETION_CASES: Cases = {
    **SAMPLING,
    "model": [{}],
    "prompt": [{"prompt": prompt} for prompt in ("red", ["red", "blue"], [5, 6, 7], [[5, 6], [7]])],
    "suffix": [{"suffix": "red"}],
    "logprobs": [{"logprobs": 0}, {"logprobs": 3}, {"logprobs": 3, "stream": True}],
    "prompt_logprobs": [{"prompt_logprobs": 0}, {"prompt_logprobs": 3}],
    "logprob_token_ids": [{"logprobs": 1, "logprob_token_ids": [5, 6]}, {"logprobs": 2, "logprob_token_ids": [5, 6]}],
    "return_tokens_as_token_ids": [{"logprobs": 1, "return_tokens_as_token_ids": True}],
    "echo": [
        {"echo": True},
        {"echo": True, "max_tokens": 0},
        {"echo": True, "logprobs": 2},
        {"echo": True, "stream": True},
    ],
}
SOUND_CASES: Cases = {
    **_each(
        language="en",
        prompt="Aurora, Fizzo",
        chunking_strategy="auto",
        temperature=0.7,
        seed=7,
        max_completion_tokens=4,
    ),
    **{
        name: [{"temperature": 1.0, name: value}]
        for name, value in {
            "top_p": 0.9,
            "top_k": 5,
            "min_p": 0.1,
            "frequency_penalty": 0.5,
            "presence_penalty": 0.5,
            "repetition_penalty": 1.2,
        }.items()
    },
    "file": [{}],
    "model": [{}],
    "response_format": [{"response_format": name} for name in ("json", "text", "srt", "vtt", "verbose_json")],
    "timestamp_granularities[]": [{"response_format": "verbose_json", "timestamp_granularities[]": "segment"}],
    "stream": [{"stream": "true"}, {"stream": "true", "response_format": "text"}],
}
RESPONSES_CASES: Cases = {
    **_each(
        instructions="Be brief.",
        stream=True,
        max_output_tokens=4,
        temperature=0.7,
        top_p=0.9,
        top_k=5,
        min_p=0.1,
        seed=7,
        stop=["red"],
        frequency_penalty=0.5,
        presence_penalty=0.5,
        repetition_penalty=1.2,
        tools=[FUNCTION],
        max_tool_calls=1,
        reasoning={"effort": "low"},
        truncation="disabled",
        store=False,
        background=False,
        previous_response_id=None,
        conversation=None,
        prompt=None,
        user="me",
    ),
    **LABELS,
    "model": [{}],
    "input": [{}],
    "stream_options": [{"stream": True, "stream_options": {"include_obfuscation": False}}],
    "top_logprobs": [{"top_logprobs": 2, "include": ["message.output_text.logprobs"]}],
    "include": [{"include": ["reasoning.encrypted_content"]}],
    "text": [
        {"text": {"format": {"type": "text"}, "verbosity": "low"}},
        {"text": {"format": {"type": "json_object"}}},
        {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}, "stream": True},
    ],
    "tool_choice": [
        {"tools": [FUNCTION], "tool_choice": choice}
        for choice in ("none", "auto", "required", {"type": "function", "name": "look"})
    ],
    "parallel_tool_calls": [{"tools": [FUNCTION], "parallel_tool_calls": False}],
}
