"""The one endpoint: OpenAI requests go by model name to the engines, translations to the translator.

The way of a chat: `connections` -> `middleware` (id, `cors`, key, `admission`) -> `app` -> `body` (within limits) ->
`catalogue` (the model) -> `parameters`, `budget` and `media` (taken or refused) -> `pool` (the turn of its pixels:
`decoding`; which replica) -> `model_swap` (where models share a GPU) -> `forward_attempt` -> `upstream` (the engine's
socket or URL), and back the same way. `deliver` sends what is no stream. `refusals` words what is refused.
"""
