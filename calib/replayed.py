"""An iteration recorded once as a CUDA graph and then replayed, so that a GPU does not wait for its calls.

None of this can run without a GPU, and no test of the project has run it. ``scripts/bench/gpu.py`` compares
its numbers with those of the same training without a graph; run it on your card before ``cuda_graphs=true``.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from calib.errors import CalibError

WARM_UP = 3
"""Iterations before the recording: the first calls set up libraries, gradients and moments."""


class Replayed:
    """A function that trains on mini-batches at a learning rate, replayed from a CUDA graph.

    A graph repeats operations on the same memory. So mini-batches and learning rate are copied to fixed
    places, and the function may depend on nothing else that changes, but on ``generators``.

    Args:
        iterate: takes mini-batches on a GPU and the learning rate, which is a tensor here.
        generators: random streams on the GPU from which it draws.
        parameters: what it trains.
    """

    def __init__(
        self,
        iterate: Callable[[Tensor, float | Tensor], None],
        generators: Sequence[torch.Generator],
        parameters: Sequence[Tensor],
    ) -> None:
        self._iterate, self._generators = iterate, list(dict.fromkeys(generators))
        self._parameters = parameters
        self._warm = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, minibatches: Tensor, lr: float) -> None:
        """Carry out one iteration.

        Raises:
            CalibError: the iteration cannot be recorded.
        """
        if not self._warm:
            self._minibatches = minibatches.clone()
            self._lr = torch.empty((), device=minibatches.device)
            self._stream = torch.cuda.Stream(minibatches.device)
        self._minibatches.copy_(minibatches)
        self._lr.fill_(lr)
        if self._warm < WARM_UP:
            self._warm += 1
            usual = torch.cuda.current_stream(minibatches.device)
            self._stream.wait_stream(usual)
            with torch.cuda.stream(self._stream):  # where the recording is made, too
                self._iterate(self._minibatches, self._lr)
            usual.wait_stream(self._stream)
            return
        if self._graph is None:
            self._graph = self._recorded()
        self._graph.replay()

    def _recorded(self) -> torch.cuda.CUDAGraph:
        """Return the graph of one iteration, which is recorded here and not carried out."""
        graph = torch.cuda.CUDAGraph()
        self._before = [one.grad for one in self._parameters]  # a replay sets them to zero: they must stay
        try:
            for generator in self._generators:
                graph.register_generator_state(generator)
            with torch.cuda.graph(graph, stream=self._stream):
                self._iterate(self._minibatches, self._lr)
        except RuntimeError as error:
            raise CalibError(
                f"cuda_graphs=true: this training cannot be recorded as a CUDA graph ({error}); set "
                "cuda_graphs=false."
            ) from error
        return graph
