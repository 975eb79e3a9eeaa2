"""The container engine: login and pulls, and the gate before it for a smoke run."""
