"""Which plugin reads an address of a scheme that Nextflow itself can't read."""

PLUGIN_OF_SCHEME = {"s3": "nf-amazon", "gs": "nf-google", "az": "nf-azure"}
