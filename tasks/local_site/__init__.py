"""The local site: the internet, the registry, the engines and the offline host on one machine."""
