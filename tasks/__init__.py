"""The rooms: one package per kind of artifact. Each `graph.py` says what can be built and from what."""
