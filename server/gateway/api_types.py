"""The JSON that the gateway takes and gives, as types.

The OpenAPI document is made from them, the names of their fields are the parameters that a request may set
(`server/gateway/parameters.py`), and answers of the gateway's own are written from them. A field of type Any is passed
on as it is: its engine checks it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

MOST_LOGPROBS = 20
MOST_MESSAGES = 1024
MOST_PROMPTS = 32
MOST_STOPS = 16

Count = Annotated[int, Meta(ge=0)]
TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0}}
PROMPTS = [
    {"type": "string"},
    {"type": "array", "items": {"type": "string"}, "maxItems": MOST_PROMPTS},
    TOKENS,
    {"type": "array", "items": TOKENS, "maxItems": MOST_PROMPTS},
]
"""A prompt as text or as ids of tokens, or several. msgspec has no union of two kinds of lists."""
Binary = Annotated[str, Meta(extra_json_schema={"format": "binary"})]


class PictureUrl(Struct, kw_only=True):
    """A picture of a message."""

    url: Annotated[str, Meta(description="data:image/jpeg;base64,... (JPEG, PNG, WebP or GIF)")]


class FramesUrl(Struct, kw_only=True):
    """The frames of a video."""

    url: Annotated[str, Meta(description="data:video/jpeg;base64,FRAME,FRAME,... (JPEG frames of one size)")]


class TextPart(Struct, tag_field="type", tag="text", forbid_unknown_fields=True, kw_only=True):
    """Text in a message of several parts."""

    text: str


class PicturePart(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True, kw_only=True):
    """A picture in a message."""

    image_url: PictureUrl


class VideoPart(Struct, tag_field="type", tag="video_url", forbid_unknown_fields=True, kw_only=True):
    """A video in a message, as frames."""

    video_url: FramesUrl


class Function(Struct, kw_only=True):
    """A call that a model made."""

    name: str
    arguments: Annotated[str, Meta(description="JSON")]


class ToolCall(Struct, kw_only=True):
    """A call that a model made, with its id."""

    id: str
    function: Function
    type: Literal["function"] = "function"


class Message(Struct, kw_only=True):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart | PicturePart | VideoPart], Meta(min_length=1)] | None = None
    tool_calls: list[ToolCall] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class Sampling(Struct, forbid_unknown_fields=True, kw_only=True):
    """What chats and completions have in common: OpenAI's parameters, and vLLM's own that are harmless to others."""

    model: str
    stream: bool | UnsetType | None = UNSET
    stream_options: Any = UNSET
    max_tokens: Count | UnsetType | None = UNSET
    min_tokens: Any = UNSET
    n: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET
    best_of: Any = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType | None = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType | None = UNSET
    top_k: Any = UNSET
    min_p: Any = UNSET
    seed: int | UnsetType | None = UNSET
    stop: str | Annotated[list[str], Meta(max_length=MOST_STOPS)] | UnsetType | None = UNSET
    stop_token_ids: Any = UNSET
    include_stop_str_in_output: Any = UNSET
    ignore_eos: Any = UNSET
    frequency_penalty: Any = UNSET
    presence_penalty: Any = UNSET
    repetition_penalty: Any = UNSET
    repetition_detection: Any = UNSET
    length_penalty: Any = UNSET
    logit_bias: Any = UNSET
    logprobs: Any = UNSET
    logprob_token_ids: Any = UNSET
    allowed_token_ids: Any = UNSET
    bad_words: Any = UNSET
    skip_special_tokens: Any = UNSET
    spaces_between_special_tokens: Any = UNSET
    add_special_tokens: Any = UNSET
    truncate_prompt_tokens: Any = UNSET
    truncation_side: Any = UNSET
    return_tokens_as_token_ids: Any = UNSET
    return_token_ids: Any = UNSET
    response_format: Any = UNSET
    structured_outputs: Any = UNSET
    thinking_token_budget: Any = UNSET
    stream_interval: Any = UNSET
    cache_salt: Any = UNSET
    priority: Any = UNSET
    request_id: Any = UNSET
    session_id: Any = UNSET
    user: Any = UNSET


class ChatRequest(Sampling, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MOST_MESSAGES)]
    max_completion_tokens: Count | UnsetType | None = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_LOGPROBS)] | UnsetType | None = UNSET
    tools: Any = UNSET
    tool_choice: Any = UNSET
    parallel_tool_calls: Any = UNSET
    reasoning_effort: Any = UNSET
    include_reasoning: Any = UNSET
    verbosity: Any = UNSET
    add_generation_prompt: Any = UNSET
    continue_final_message: Any = UNSET
    chat_template_kwargs: Any = UNSET
    documents: Any = UNSET
    audio: Any = UNSET
    modalities: Any = UNSET
    prediction: Any = UNSET
    moderation: Any = UNSET
    web_search_options: Any = UNSET
    metadata: Any = UNSET
    store: Any = UNSET
    service_tier: Any = UNSET
    safety_identifier: Any = UNSET
    prompt_cache_key: Any = UNSET
    prompt_cache_options: Any = UNSET
    prompt_cache_retention: Any = UNSET


class CompletionRequest(Sampling, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/completions`."""

    prompt: Annotated[Any, Meta(extra_json_schema={"anyOf": PROMPTS})]
    suffix: Any = UNSET
    echo: Any = UNSET
    prompt_logprobs: Any = UNSET


class ResponsesRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/responses`; what keeps something on the server is taken only where it says that nothing is kept."""

    model: str
    input: Annotated[Any, Meta(extra_json_schema={"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]})]
    instructions: str | UnsetType | None = UNSET
    stream: bool | UnsetType | None = UNSET
    stream_options: Any = UNSET
    max_output_tokens: Count | UnsetType | None = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType | None = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType | None = UNSET
    top_k: Any = UNSET
    min_p: Any = UNSET
    seed: int | UnsetType | None = UNSET
    stop: str | Annotated[list[str], Meta(max_length=MOST_STOPS)] | UnsetType | None = UNSET
    frequency_penalty: Any = UNSET
    presence_penalty: Any = UNSET
    repetition_penalty: Any = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_LOGPROBS)] | UnsetType | None = UNSET
    text: Any = UNSET
    tools: Any = UNSET
    tool_choice: Any = UNSET
    parallel_tool_calls: Any = UNSET
    max_tool_calls: Any = UNSET
    include: Any = UNSET
    reasoning: Any = UNSET
    truncation: Any = UNSET
    store: Literal[False] | UnsetType | None = UNSET
    background: Literal[False] | UnsetType | None = UNSET
    previous_response_id: UnsetType | None = UNSET
    conversation: UnsetType | None = UNSET
    prompt: UnsetType | None = UNSET
    user: Any = UNSET
    metadata: Any = UNSET
    service_tier: Any = UNSET
    safety_identifier: Any = UNSET
    prompt_cache_key: Any = UNSET
    prompt_cache_options: Any = UNSET
    prompt_cache_retention: Any = UNSET


class SoundForm(Struct, forbid_unknown_fields=True, kw_only=True):
    """The form of `POST /v1/audio/transcriptions` and `/v1/audio/translations`; a list is a field given repeatedly."""

    file: Binary
    model: str
    language: str | UnsetType = UNSET
    to_language: str | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    hotwords: str | UnsetType = UNSET
    response_format: str | UnsetType = UNSET
    timestamp_granularities: list[str] | UnsetType = field(default=UNSET, name="timestamp_granularities[]")
    include: list[str] | UnsetType = field(default=UNSET, name="include[]")
    stream: str | UnsetType = UNSET
    stream_include_usage: str | UnsetType = UNSET
    stream_continuous_usage_stats: str | UnsetType = UNSET
    temperature: str | UnsetType = UNSET
    seed: str | UnsetType = UNSET
    top_p: str | UnsetType = UNSET
    top_k: str | UnsetType = UNSET
    min_p: str | UnsetType = UNSET
    frequency_penalty: str | UnsetType = UNSET
    repetition_penalty: str | UnsetType = UNSET
    presence_penalty: str | UnsetType = UNSET
    max_completion_tokens: str | UnsetType = UNSET


class TranslationRequest(Struct, kw_only=True):
    """`POST /v1/translations`; the translator has its own rules for what is in it."""

    texts: list[str]
    targets: Annotated[list[str], Meta(min_length=1)]
    source: str | UnsetType | None = UNSET


class Model(Struct, frozen=True, kw_only=True):
    """A model as OpenAI lists it; the limits are additions of ours (`max_model_len` as in vLLM)."""

    id: str
    created: int
    """Unix time of the gateway's start."""
    owned_by: str
    root: str
    """The served name; `id` may be an alias."""
    max_model_len: int
    """Tokens of prompt and answer together."""
    max_frames: int
    """Frames a video may have; 0: the model takes no video."""
    max_images: int
    """Pictures a request may have; 0: it takes none."""
    tools: bool
    """Whether it calls tools."""
    object: Literal["model"] = "model"


class ModelList(Struct, frozen=True, kw_only=True):
    """`GET /v1/models`."""

    data: list[Model]
    object: Literal["list"] = "list"


class Alive(Struct, frozen=True, kw_only=True):
    """`GET /health/live`: the gateway itself runs."""

    status: Literal["ok"] = "ok"


class Health(Struct, frozen=True, kw_only=True):
    """`GET /health`: a word for each server behind the gateway."""

    status: Literal["ok", "degraded"]
    parts: dict[str, Literal["ok", "down"]]


class Target(Struct, frozen=True, kw_only=True):
    """One page of metrics, in the form of Prometheus' HTTP service discovery."""

    targets: list[str]
    labels: dict[str, str]


class ErrorDetail(Struct, frozen=True, kw_only=True):
    """What is wrong with a request, as OpenAI tells it."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(Struct, frozen=True, kw_only=True):
    """The body of every refusal."""

    error: ErrorDetail
