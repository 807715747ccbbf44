"""`python -m client.export` is the command `client.cli.export`; by its name, as nothing here imports `client.cli`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("client.cli.export", run_name="__main__")
