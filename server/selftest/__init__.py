"""`babelview selftest`: what holds on this machine, checked one thing at a time and told in one table.

    outcome.py          what a check is, and how it ended
    plan.py             all checks of a profile, in their order
    run.py              one after the other, within a limit of time
    report.py           the table, and the same as JSON

Models against transformers, on toys with random weights:
    published_names.py  how weights are called in the published checkpoints
    llama_toy.py        tiny Llama 3.2 Vision checkpoints, written as the published ones are
    llava_toy.py        tiny LLaVA-NeXT-Video checkpoints
    cases.py            what the toys are asked
    llama_reference.py  what transformers answers, and what it would with weights that were quantised
    llava_reference.py
    engines.py          vLLM engines in processes of their own, and what they wrote
    parity.py           the checks that compare both

The profile's stack, as it serves:
    stack.py            started, or the one that runs already
    load.py             requests for it
    device.py           bandwidth and arithmetic of this machine, measured
    limits.py           what a model could do at most with those
    served.py           the checks: start, memory, tokens, pictures and videos a second
"""
