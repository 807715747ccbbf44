"""`python -m translator`: the translation service."""

from translator.cli import translate

if __name__ == "__main__":
    translate(prog_name="python -m translator")
