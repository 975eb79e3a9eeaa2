"""Images as SIF files, made from OCI layers without root, an engine, or unpacking to disk."""
