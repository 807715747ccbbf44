"""Llama 3.2 Vision through the plugin."""
