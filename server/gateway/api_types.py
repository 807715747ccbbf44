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
Switch = bool | UnsetType | None
Number = float | UnsetType | None
Whole = int | UnsetType | None
Text = str | UnsetType | None
Numbers = list[int] | UnsetType | None
Objects = list[dict[str, Any]] | UnsetType | None
Object = dict[str, Any] | UnsetType | None
"""Optional values of a request; None is what SDKs send for what is not given."""
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


class Common(Struct, forbid_unknown_fields=True, kw_only=True):
    """What all requests for text have in common."""

    model: str
    stream: Switch = UNSET
    stream_options: Object = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType | None = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType | None = UNSET
    top_k: Whole = UNSET
    min_p: Number = UNSET
    seed: Whole = UNSET
    stop: str | Annotated[list[str], Meta(max_length=MOST_STOPS)] | UnsetType | None = UNSET
    frequency_penalty: Number = UNSET
    presence_penalty: Number = UNSET
    repetition_penalty: Number = UNSET
    user: Text = UNSET


class Sampling(Common, forbid_unknown_fields=True, kw_only=True):
    """What chats and completions have in common: OpenAI's parameters, and vLLM's own that are harmless to others."""

    max_tokens: Count | UnsetType | None = UNSET
    min_tokens: Whole = UNSET
    n: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET
    best_of: Whole = UNSET
    stop_token_ids: Numbers = UNSET
    include_stop_str_in_output: Switch = UNSET
    ignore_eos: Switch = UNSET
    repetition_detection: Object = UNSET
    length_penalty: Number = UNSET
    logit_bias: dict[str, float] | UnsetType | None = UNSET
    logprobs: bool | int | UnsetType | None = UNSET
    logprob_token_ids: Numbers = UNSET
    allowed_token_ids: Numbers = UNSET
    bad_words: list[str] | UnsetType | None = UNSET
    skip_special_tokens: Switch = UNSET
    spaces_between_special_tokens: Switch = UNSET
    add_special_tokens: Switch = UNSET
    truncate_prompt_tokens: Whole = UNSET
    truncation_side: Literal["left", "right"] | UnsetType | None = UNSET
    return_tokens_as_token_ids: Switch = UNSET
    return_token_ids: Switch = UNSET
    response_format: Object = UNSET
    structured_outputs: Object = UNSET
    thinking_token_budget: Whole = UNSET
    stream_interval: Whole = UNSET
    cache_salt: Text = UNSET
    priority: Whole = UNSET
    request_id: Text = UNSET
    session_id: Text = UNSET


class ChatRequest(Sampling, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MOST_MESSAGES)]
    max_completion_tokens: Count | UnsetType | None = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_LOGPROBS)] | UnsetType | None = UNSET
    tools: Objects = UNSET
    tool_choice: str | dict[str, Any] | UnsetType | None = UNSET
    parallel_tool_calls: Switch = UNSET
    reasoning_effort: Text = UNSET
    include_reasoning: Switch = UNSET
    verbosity: Text = UNSET
    add_generation_prompt: Switch = UNSET
    continue_final_message: Switch = UNSET
    chat_template_kwargs: dict[str, str | int | float | bool | None] | UnsetType | None = UNSET
    documents: Objects = UNSET
    audio: Object = UNSET
    modalities: list[str] | UnsetType | None = UNSET
    prediction: Object = UNSET
    moderation: Object = UNSET
    web_search_options: Object = UNSET
    metadata: Object = UNSET
    store: Switch = UNSET
    service_tier: Text = UNSET
    safety_identifier: Text = UNSET
    prompt_cache_key: Text = UNSET
    prompt_cache_options: Object = UNSET
    prompt_cache_retention: Text = UNSET


class CompletionRequest(Sampling, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/completions`."""

    prompt: Annotated[Any, Meta(extra_json_schema={"anyOf": PROMPTS})]
    suffix: Text = UNSET
    echo: Switch = UNSET
    prompt_logprobs: Whole = UNSET


class ResponsesRequest(Common, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/responses`; what keeps something on the server is taken only where it says that nothing is kept."""

    input: Annotated[
        Any, Meta(extra_json_schema={"anyOf": [{"type": "string"}, {"type": "array", "items": {}, "minItems": 1}]})
    ]
    instructions: Text = UNSET
    max_output_tokens: Count | UnsetType | None = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_LOGPROBS)] | UnsetType | None = UNSET
    text: Object = UNSET
    tools: Objects = UNSET
    tool_choice: str | dict[str, Any] | UnsetType | None = UNSET
    parallel_tool_calls: Switch = UNSET
    max_tool_calls: Whole = UNSET
    include: list[str] | UnsetType | None = UNSET
    reasoning: Object = UNSET
    truncation: Text = UNSET
    store: Literal[False] | UnsetType | None = UNSET
    background: Literal[False] | UnsetType | None = UNSET
    previous_response_id: UnsetType | None = UNSET
    conversation: UnsetType | None = UNSET
    prompt: UnsetType | None = UNSET
    metadata: Object = UNSET
    service_tier: Text = UNSET
    safety_identifier: Text = UNSET
    prompt_cache_key: Text = UNSET
    prompt_cache_options: Object = UNSET
    prompt_cache_retention: Text = UNSET


class SoundForm(Struct, forbid_unknown_fields=True, kw_only=True):
    """The form of `POST /v1/audio/transcriptions` and `/v1/audio/translations`; a list is a field given repeatedly."""

    file: Binary
    model: str
    language: str | UnsetType = UNSET
    """Of what is said, as `en`; without it the model is asked."""
    prompt: str | UnsetType = UNSET
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] | UnsetType = UNSET
    timestamp_granularities: list[Literal["segment"]] | UnsetType = field(
        default=UNSET, name="timestamp_granularities[]"
    )
    chunking_strategy: Literal["auto"] | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=-1)] | UnsetType = UNSET
    min_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | UnsetType = UNSET
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | UnsetType = UNSET
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | UnsetType = UNSET
    max_completion_tokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class TranslationRequest(Struct, kw_only=True):
    """`POST /v1/translations`; the translator has its own rules for what is in it."""

    texts: list[str]
    targets: Annotated[list[str], Meta(min_length=1)]
    source: str | UnsetType | None = UNSET
    format: str | UnsetType | None = UNSET
    """text, html, vtt or srt."""
    keep: list[str | dict[str, Any]] | UnsetType | None = UNSET
    """A glossary: terms that stay, and such with set translations."""
    alternatives: int | UnsetType | None = UNSET


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
    task: Literal["generate", "transcribe"]
    """`generate`: chats and completions; `transcribe`: audio transcriptions and translations."""
    max_sound_s: float
    """Seconds that a sound may last; 0: it hears nothing."""
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
