"""Babelview's client: asks a served model about folders of pictures and videos.

It needs nothing of the server but its address: the two meet over HTTP alone.
"""
