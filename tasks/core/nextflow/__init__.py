"""Nextflow itself: runtimes and their Java, launching, isolation, known faults."""
