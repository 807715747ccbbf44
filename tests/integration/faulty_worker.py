"""A worker of vLLM with faults: `--worker-cls faulty_worker.FaultyWorker`.

Its steps take long while the file is there that `SLOW_STEPS` names, and it dies of the prompt that `POISON` has, a list
of tokens in JSON.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from vllm.v1.worker.cpu_worker import CPUWorker


class FaultyWorker(CPUWorker):  # type: ignore[misc]
    def execute_model(self, scheduler_output: Any, *arguments: Any, **named: Any) -> Any:
        poison = json.loads(os.environ["POISON"])
        if any(request.prompt_token_ids == poison for request in scheduler_output.scheduled_new_reqs):
            os._exit(139)
        if (path := Path(os.environ["SLOW_STEPS"])).exists():
            time.sleep(float(path.read_text()))
        return super().execute_model(scheduler_output, *arguments, **named)
