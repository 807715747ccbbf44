"""A worker of vLLM whose steps take long while a file is there: `--worker-cls slow_worker.SlowWorker`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from vllm.v1.worker.cpu_worker import CPUWorker


class SlowWorker(CPUWorker):  # type: ignore[misc]
    def execute_model(self, *arguments: Any, **named: Any) -> Any:
        if (path := Path(os.environ["SLOW_STEPS"])).exists():
            time.sleep(float(path.read_text()))
        return super().execute_model(*arguments, **named)
