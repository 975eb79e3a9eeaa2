"""The HTTP layer: connections, proxies, CAs, redirects, bounds, pace, resumed downloads."""
