"""What is trusted, and how that is shown: checksums, signatures, numbered promotions."""
