"""Properties are judged by their results: on a busy machine a slow example is no fault.

A run that is ended takes down what its tests have started, as one that is interrupted does.
"""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
signal.signal(signal.SIGTERM, signal.default_int_handler)
