"""The drawn world that the demo models know: coloured scenes, and what is truly said of them.

`scenes` draws lots for a clip (which colours, when) and knows the right answer to every prompt;
`draw` turns a clip into pixels; `translations` says its sentences in other languages.
"""
