"""What this machine has that checks may need."""

from __future__ import annotations

from dataclasses import dataclass

from server.sizing.gpus import list_gpus


@dataclass(frozen=True)
class Machine:
    """GPUs, and nothing else that a check asks for."""

    gpus: tuple[str, ...]

    @classmethod
    def here(cls) -> Machine:
        """This machine, as nvidia-smi tells it."""
        return cls(tuple(gpu.name for gpu in list_gpus()))

    def lacks(self, gpus: int) -> str | None:
        """Why a check that needs so many GPUs cannot run; None: it can."""
        if len(self.gpus) >= gpus:
            return None
        wanted = "a GPU" if gpus == 1 else f"{gpus} GPUs"
        found = f"this machine has {len(self.gpus)}" if self.gpus else "this machine has none"
        return f"needs {wanted}; {found}"
