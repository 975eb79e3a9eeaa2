"""The pipelines' configs, as their own Nextflow resolves them."""
