"""Independent tasks in several processes: results in order, memory flat, no hang, no orphan."""

import contextlib
import gc
import multiprocessing
import signal
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence, TypeVar

_GARBAGE = 20000  # objects, until cycles among them are looked for

Task = TypeVar("Task")
Result = TypeVar("Result")


class _Worker(NamedTuple):
    """A process and the end of the pipe by which its results come."""

    process: Any
    results: Any


def run(
    tasks: Sequence[Task], do: Callable[[Task], Result], lost: Callable[[Task], Result], jobs: int
) -> Iterator[Result]:
    """What `do` makes of each task in one of so many processes, in the tasks' order.

    Each has every `jobs`-th task and a pipe of its own, which holds but a few results: nobody runs
    far ahead. `lost` speaks for the task in which a process ended (killed for its memory, say).
    """
    workers: List[_Worker] = []
    jobs = max(1, min(jobs, len(tasks)))
    try:
        for number in range(jobs):
            workers.append(_start(tasks[number::jobs], do, workers))
        for position, task in enumerate(tasks):
            number = position % jobs
            try:
                yield workers[number].results.recv()
            except EOFError:
                _stop(workers[number])
                yield lost(task)
                others = workers[:number] + workers[number + 1 :]
                workers[number] = _start(tasks[position + jobs :: jobs], do, others)
    finally:
        for worker in workers:
            _stop(worker)


def _start(
    tasks: Sequence[Task], do: Callable[[Task], Result], others: Sequence[_Worker]
) -> _Worker:
    # Forked, all that is imported is there already.
    context = multiprocessing.get_context("fork")
    results, ending = context.Pipe(duplex=False)
    # It has what the others' results come by, too: who reads there must be this process alone, or
    # they would not see that nobody does any more, and wait for room in the pipe.
    inherited = [results, *(worker.results for worker in others)]
    process = context.Process(target=_serve, args=(tasks, do, ending, inherited), daemon=True)
    process.start()
    ending.close()  # or the end of the process would not end the pipe
    return _Worker(process, results)


def _serve(
    tasks: Sequence[Task], do: Callable[[Task], Result], results: Any, inherited: Sequence[Any]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keyboard's goes to all: one stops the others
    for connection in inherited:
        connection.close()
    # A command begins without; here much comes and goes, but not what was imported.
    getattr(gc, "freeze", gc.collect)()  # Python 3.7
    gc.set_threshold(_GARBAGE)
    gc.enable()
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        for task in tasks:
            results.send(do(task))
    results.close()


def _stop(worker: _Worker) -> None:
    worker.results.close()
    worker.process.terminate()
    worker.process.join()
