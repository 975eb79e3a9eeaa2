"""What a run is given: samplesheets, staged files, params."""
