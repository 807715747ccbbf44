"""The service over HTTP.

    POST /v1/translations     texts x target languages in one call, with a verdict per sentence
    POST /translate           LibreTranslate's call (JSON, form or query), or nllb-serve's on the same path
    POST /detect              in which language a text is
    GET  /languages           what the model can be asked for, as LibreTranslate lists it
    GET  /frontend/settings   what LibreTranslate's clients ask for first
    GET  /spec                an OpenAPI description of all this
    GET  /health              200 once the model is loaded and has answered, 503 before and while shutting down
    GET  /health/details      the same, with the model's name and how many sentences wait
    GET  /metrics             for Prometheus

Errors of `/v1` have OpenAI's shape, those of the other paths LibreTranslate's.
"""

from translator.http.app import make_app
from translator.http.state import Limits, State

__all__ = ["Limits", "State", "make_app"]
