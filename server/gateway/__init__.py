"""The one endpoint: OpenAI requests go by model name to the engines, translations to the translator.

The way of a chat: `middleware` (id, key, `admission`) -> `app` -> `body` (within limits) -> `catalogue` (the model)
-> `parameters` and `media` (taken or refused) -> `pool` (which replica) -> `model_swap` (where models share a GPU) ->
`forward_attempt` -> `upstream` (the engine's socket or URL), and back the same way. `refusals` words what is refused.
"""
