"""A client of registries: what mirrors, verifies and looks asks them through it."""
