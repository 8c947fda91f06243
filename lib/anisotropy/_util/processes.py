"""Worker processes: one thread each, and none that outlives who started it."""

import os
import threading
import time

SINGLE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
"""Environment of a worker."""


def die_with(parent: int) -> None:
    """Start a thread that ends this worker when its parent is gone: a killed driver leaves no process behind.

    Args:
        parent: process number of who starts the worker, as that one knows it.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
