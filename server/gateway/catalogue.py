"""The models under all their names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from server.errors import RequestError
from server.gateway.api_types import Model, ModelList
from server.gateway.config import OWNER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.gateway.config import ServedModel


class Catalogue:
    """Finds a model by any of its names."""

    def __init__(self, models: Sequence[ServedModel], max_sound_s: float) -> None:
        """`max_sound_s`: how long a sound may last, where one is taken."""
        self._models = {name: model for model in models for name in (model.name, *model.aliases)}
        created = int(time.time())
        self._listed = {name: _describe(name, model, created, max_sound_s) for name, model in self._models.items()}

    def find(self, name: object, task: str | None = None) -> ServedModel:
        """The model of a name.

        Raises:
            RequestError: 404, it is not served; 400, it is not for this `task`.
        """
        model = self._models.get(name) if isinstance(name, str) else None
        if model is None:
            asked = repr(name[:80]) if isinstance(name, str) else "(no name)"
            served = ", ".join(self._models)
            message = f"the model {asked} is not served; served: {served}"
            raise RequestError(404, message, param="model", code="model_not_found")
        if task not in (None, model.task):
            raise RequestError(400, f"{model.name} is not for this: it can {model.task}", param="model")
        return model

    def describe(self, name: str) -> Model:
        """One model as `/v1/models/NAME` gives it.

        Raises:
            RequestError: 404.
        """
        self.find(name)
        return self._listed[name]

    def list_all(self) -> ModelList:
        """All models under all their names, as `/v1/models` gives them."""
        return ModelList(data=list(self._listed.values()))


def _describe(name: str, model: ServedModel, created: int, max_sound_s: float) -> Model:
    return Model(
        id=name,
        created=created,
        owned_by=OWNER,
        root=model.name,
        max_model_len=model.max_model_len,
        max_frames=model.max_frames,
        max_images=model.max_images,
        tools=model.tools,
        task=model.task,
        max_sound_s=max_sound_s if model.task == "transcribe" else 0,
    )
