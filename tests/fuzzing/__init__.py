"""Fuzzing of whatever reads bytes that others wrote; `table.READERS` names all of it."""
