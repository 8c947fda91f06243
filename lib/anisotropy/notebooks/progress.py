"""What a run says on the terminal: which notebook, which cell, and for how long."""

import shutil
import time
from typing import TextIO


def duration(seconds: float) -> str:
    """Seconds as a reader says them: `8 s`, `2 min 05 s`, `1 h 12 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class Display:
    """Lines for starts and ends; in between one line that is rewritten on a terminal, or a line now and then in a log.

    Args:
        stream: where to write.
        total: number of notebooks that run.
        every: seconds between two lines about one notebook where the stream is no terminal.
    """

    def __init__(self, stream: TextIO, total: int, every: float = 30.0):
        self.stream = stream
        self.total = total
        self.every = every
        self.live = stream.isatty()
        self.running: dict[str, dict] = {}
        self._width = 0

    def line(self, text: str = "") -> None:
        """A line that stays."""
        if self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self._width = 0
        self.stream.write(text + "\n")
        self.stream.flush()

    def start(self, name: str, number: int, reason: str) -> None:
        """A notebook starts."""
        now = time.perf_counter()
        self.running[name] = {"number": number, "began": now, "told": now, "cells": 0, "done": 0}
        self.line(f"[{number}/{self.total}] {name}: starts ({reason})")

    def event(self, name: str, event: dict) -> None:
        """A cell starts or ends."""
        state = self.running[name]
        if event["event"] == "start":
            state["cells"] = event["cells"]
        elif event["event"] == "cell_done":
            state["done"] += 1
        self.tick()

    def tick(self) -> None:
        """Renew what is said about the running notebooks."""
        now = time.perf_counter()
        if self.live:
            text = "   ".join(self._state(name, now) for name in self.running)
            text = text[: shutil.get_terminal_size().columns - 1]  # a wrapped line cannot be rewritten
            self.stream.write("\r" + text.ljust(self._width))
            self.stream.flush()
            self._width = len(text)
            return
        for name, state in self.running.items():
            if now - state["told"] >= self.every:
                state["told"] = now
                self.line(self._state(name, now))

    def _state(self, name: str, now: float) -> str:
        s = self.running[name]
        where = f"cell {min(s['done'] + 1, s['cells'])}/{s['cells']}" if s["cells"] else "starting the kernel"
        return f"[{s['number']}/{self.total}] {name}: {where}, {duration(now - s['began'])}"

    def end(self, name: str, text: str) -> None:
        """A notebook ends."""
        state = self.running.pop(name)
        self.line(f"[{state['number']}/{self.total}] {name}: {text} ({duration(time.perf_counter() - state['began'])})")
