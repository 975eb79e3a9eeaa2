"""The reader of a pipeline's code: Groovy, configs, scripts, schemas."""
