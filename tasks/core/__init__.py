"""What all rooms share: errors, configuration, files, processes, the store, the graph's helpers."""
