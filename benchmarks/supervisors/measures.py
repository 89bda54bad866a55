"""What is measured of each contestant. Each measure returns its samples; the unit stands in the table `MEASURES`."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from .contestants import Contestant
from .running_contestant import Running

Samples = list[float]
_MS = 1e6
_BETWEEN = 0.05
_BETWEEN_ROUNDS = 1.5
"""So that no contestant holds a restart back because the program has just been started."""
_SETTLED = 3.0
_WATCHED = 5.0
_STUBBORN = 5
"""Programs with three descendants each."""


def restart(contestant: Contestant, size: int, times: int) -> Samples:
    """Milliseconds from the SIGKILL of one program of `size` to the first instruction of its replacement."""
    found = []
    with Running(contestant, size) as running:
        running.all_reports()
        time.sleep(_BETWEEN_ROUNDS)
        for turn in range(times):
            number = turn % size
            if turn and number == 0:
                time.sleep(_BETWEEN_ROUNDS)
            killed = running.kill(number)
            found.append((running.report().at - killed) / _MS)
            time.sleep(_BETWEEN)
    return found


def restart_all(contestant: Contestant, size: int, times: int) -> Samples:
    """Milliseconds from the first of `size` SIGKILLs in a row until the last replacement runs."""
    found = []
    with Running(contestant, size) as running:
        running.all_reports()
        for _ in range(max(1, times // 6)):
            time.sleep(_BETWEEN_ROUNDS)
            killed = min(running.kill(number) for number in range(size))
            found.append((running.all_reports() - killed) / _MS)
    return found


def cold_start(contestant: Contestant, size: int, times: int) -> Samples:
    """Milliseconds from the start of the contestant until the last of `size` programs runs."""
    found = []
    for _ in range(max(1, times // 6)):
        with Running(contestant, size) as running:
            found.append((running.all_reports() - running.began) / _MS)
    return found


def memory(contestant: Contestant, size: int, times: int) -> Samples:
    """KiB (PSS) of the contestant's own processes for each of `size` programs."""
    found = []
    for _ in range(max(1, times // 10)):
        with Running(contestant, size) as running:
            running.all_reports()
            time.sleep(_SETTLED)
            found.append(sum(_each(running.side(), lambda process: process.memory_full_info().pss / 1024)) / size)
    return found


def idle(contestant: Contestant, size: int, times: int) -> Samples:
    """Milliseconds of CPU that the contestant's own processes use in a second, while `size` programs sleep."""
    found = []
    with Running(contestant, size) as running:
        running.all_reports()
        time.sleep(_SETTLED)
        for _ in range(max(1, times // 10)):
            before, began = _cpu(running), time.monotonic()
            time.sleep(_WATCHED)
            found.append((_cpu(running) - before) * 1000 / (time.monotonic() - began))
    return found


def left_by_a_program(contestant: Contestant, _size: int, _times: int) -> Samples:
    """Of three stubborn descendants of a program that is killed, how many are left."""
    with Running(contestant, _STUBBORN, stubborn=True) as running:
        running.all_reports()
        time.sleep(_SETTLED)
        before = running.copies(0) - {running.pids[0]}
        running.kill(0)
        running.report()
        time.sleep(_SETTLED)
        return [float(len(before & running.copies(0)))]


def left_by_the_manager(contestant: Contestant, _size: int, _times: int) -> Samples:
    """Of five programs with three stubborn descendants each, how many processes are left when the process that was started is killed."""
    with Running(contestant, _STUBBORN, stubborn=True) as running:
        running.all_reports()
        time.sleep(_SETTLED)
        running.manager.kill()
        running.manager.wait()
        time.sleep(_SETTLED + _WATCHED)
        return [float(len(running.copies()))]


def left_by_everything(contestant: Contestant, _size: int, _times: int) -> Samples:
    """The same, when every process of the contestant is killed in one instant: all are stopped first."""
    with Running(contestant, _STUBBORN, stubborn=True) as running:
        running.all_reports()
        time.sleep(_SETTLED)
        side = running.side()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in side:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        time.sleep(_SETTLED + _WATCHED)
        return [float(len(running.copies()))]


def _each(processes: Iterable[psutil.Process], of: Callable[[psutil.Process], float]) -> Iterable[float]:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield of(process)


def _cpu(running: Running) -> float:
    """Seconds."""
    return sum(_each(running.side(), lambda process: sum(process.cpu_times()[:4])))


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table for each size and contestant."""

    what: str
    unit: str
    run: Callable[[Contestant, int, int], Samples]
    by_size: bool = True


MEASURES = {
    "restart": Measure("a program is killed, its replacement runs", "ms", restart),
    "restart-all": Measure("all are killed, the last is back", "ms", restart_all),
    "cold-start": Measure("from nothing until all run", "ms", cold_start),
    "memory": Measure("memory of the supervisor's side, each program", "KiB PSS", memory),
    "idle": Measure("CPU while all sleep", "ms a second", idle),
    "left-by-a-program": Measure("of 3 stubborn descendants of a killed program, left", "", left_by_a_program, by_size=False),
    "left-by-the-manager": Measure("of 20 processes, left when the manager is killed", "", left_by_the_manager, by_size=False),
    "left-by-everything": Measure("of 20, left when all of its side is killed", "", left_by_everything, by_size=False),
}
