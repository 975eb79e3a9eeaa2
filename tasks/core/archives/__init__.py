"""Archives from outside, unpacked with distrust and within limits."""
