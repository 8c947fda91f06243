"""How fast this machine is just now, to compare times that were measured on another one."""

import functools
import time


@functools.cache
def speed() -> dict[str, float]:
    """Float32 GFLOP/s of this machine on one thread: a matrix product and a convolution, in about a second.

    The median of repetitions, so that a busy machine shows as what it is: slower.
    """
    import torch

    def rate(function, operations: float) -> float:
        function()  # warms up
        times = []
        begin = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begin < 0.4:
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return round(operations / sorted(times)[len(times) // 2] / 1e9, 1)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            a, x, w = torch.randn(1024, 1024), torch.randn(16, 64, 32, 32), torch.randn(64, 64, 3, 3)
            return {
                "matmul_gflops": rate(lambda: a @ a, 2 * 1024**3),
                "conv_gflops": rate(lambda: torch.conv2d(x, w, padding=1), 2 * 16 * 32 * 32 * 64 * 64 * 9),
            }
    finally:
        torch.set_num_threads(threads)
