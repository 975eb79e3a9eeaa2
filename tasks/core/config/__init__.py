"""A site's and its pipelines' configuration: its classes, and how they are read from the files."""
