"""The one endpoint: OpenAI requests go by model name to the engines, translations to the translator."""
