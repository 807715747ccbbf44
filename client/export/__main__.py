"""`python -m client.export` is the command `client.cli.export`; by its name, as nothing here imports `client.cli`."""

import runpy
from importlib import import_module

if __name__ == "__main__":
    import_module("client.cli.signals").end_at_interrupt()
    runpy.run_module("client.cli.export", run_name="__main__")
