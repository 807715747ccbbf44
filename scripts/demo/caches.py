"""What vLLM's caches gave, by its own counters, read through the gateway."""

from __future__ import annotations

import re
from collections import Counter

import aiohttp

_CACHE = re.compile(r'^vllm:(\w+)_(queries|hits)_total\{[^}]*model_name="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)


async def counters(base_url: str) -> Counter[str]:
    """What is counted so far: "MODEL: prefix_cache hits", in tokens, "MODEL: mm_cache hits", in items; and "queries".

    Args:
        base_url: Of the gateway, with `/v1`.
    """
    found: Counter[str] = Counter()
    async with aiohttp.ClientSession(base_url.removesuffix("v1")) as http:
        async with http.get("metrics/targets") as answer:
            targets = [target["labels"]["__metrics_path__"] for target in await answer.json()]
        for path in targets:
            async with http.get(path.removeprefix("/")) as answer:
                for cache, what, model, value in _CACHE.findall(await answer.text()):
                    found[f"{model}: {cache} {what}"] += int(float(value))
    return found
