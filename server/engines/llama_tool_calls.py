"""Puts our parser for the calls of Llama 3.2 (`llama_tool_parser.py`) in the place of vLLM's `llama3_json`."""

from __future__ import annotations

import os

LLAMA_TOOL_PARSER = "BABELVIEW_LLAMA_TOOL_PARSER"
"""Environment variable: set, vLLM's parser `llama3_json` is ours, which tells calls from other JSON."""


def install() -> None:
    """Put it there, if the environment asks for it."""
    if LLAMA_TOOL_PARSER in os.environ:
        from vllm.tool_parsers import ToolParserManager  # noqa: PLC0415 - heavy

        ToolParserManager.register_lazy_module("llama3_json", "server.engines.llama_tool_parser", "LlamaToolParser")
