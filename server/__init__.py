"""Hosting: vLLM engines, the translator and the gateway, started and watched as one stack."""
