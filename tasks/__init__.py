"""The rooms: one package per artifact; each `graph.py` says what can be built, from what."""
