"""What vLLM's transcriptions do wrong at the edges, put right: an answer without a word, one that is cut off, prompts.

Our plugin calls `install` in each of vLLM's processes; nothing happens unless the environment asks for it, as
`engine.py` does for models that transcribe.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

VARIABLE = "BABELVIEW_SPEECH"
"""Environment variable: set, this is an engine that transcribes."""
_WRONG_PROMPT, _PROMPT = "<|prev|>", "<|startofprev|>"


def install() -> None:
    """Mend vLLM 0.32's transcriptions, if the environment asks for it."""
    if VARIABLE not in os.environ:
        return
    from vllm.entrypoints.speech_to_text.base import serving  # noqa: PLC0415 - heavy
    from vllm.model_executor.models.whisper import WhisperForConditionalGeneration  # noqa: PLC0415

    if getattr(serving.load_audio, "keywords", None):
        return  # done before
    # The gateway sends WAV. Looking for other decoders, which are not installed, is two lines of the log each time.
    serving.load_audio = partial(serving.load_audio, backend="pyav")
    speech = serving.SpeechToTextBaseServing
    speech._get_verbose_segments = _whole_segments(speech._get_verbose_segments)  # noqa: SLF001 - no other place for it
    plain_prompt = WhisperForConditionalGeneration.get_generation_prompt.__func__
    WhisperForConditionalGeneration.get_generation_prompt = classmethod(_right_prompt(plain_prompt))


def _whole_segments(plain: Any) -> Any:
    """`SpeechToTextBaseServing._get_verbose_segments` for every answer.

    vLLM's own looks at the last two tokens, of which an answer without a word has none; and it takes what stands
    between two pairs of times, so that text behind the last of them is lost. Such text is given the window's end.
    """
    from vllm.logprobs import Logprob  # noqa: PLC0415 - heavy

    def get_segments(serving: Any, tokens: tuple[int, ...], log_probs: Any, **others: Any) -> Any:
        said = tokens[:-1] if tokens and tokens[-1] == serving.tokenizer.eos_token_id else tokens
        if not said:
            return []
        (first_time,) = serving.tokenizer.encode("<|0.00|>", add_special_tokens=False)
        if said[-1] < first_time:
            last = first_time + round(serving.asr_config.max_audio_clip_s / 0.02)
            log_probs = [*(log_probs[number] for number in range(len(said))), {last: Logprob(logprob=0.0)}]
            said = (*said, last)
        return plain(serving, tokens=said, log_probs=log_probs, **others)

    return get_segments


def _right_prompt(plain: Any) -> Any:
    """`WhisperForConditionalGeneration.get_generation_prompt` with Whisper's own token before a request's prompt."""

    def get_prompt(model: Any, stt_params: Any) -> Any:
        prompt = plain(model, stt_params)
        text = prompt["decoder_prompt"]["prompt"]
        if text.startswith(_WRONG_PROMPT):
            prompt["decoder_prompt"]["prompt"] = _PROMPT + text.removeprefix(_WRONG_PROMPT)
        return prompt

    return get_prompt
