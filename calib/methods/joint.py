"""The paper's method: calibrator C, discriminator D and reconstructors R trained together in two steps.

Niu et al. 2021, Methods, Eqs 1-4. The networks are in ``calib.nets``, the losses L_C, L_D and L_R in
``calib.losses``, the training loop in ``calib.training``, and the readings of the paper that can be chosen
in ``calib.protocol``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from calib.data.study import FloatArray, Samples, Task
from calib.data.tensors import by_blocks
from calib.data.transform import check_varies
from calib.errors import check_flag, check_number
from calib.layers import BatchNorm
from calib.losses import calibration_loss, classification_loss, reconstruction_loss
from calib.methods.base import Method, State
from calib.minibatches import Pool
from calib.nets import Calibrator, Discriminator, Reconstructor, arrays, load_arrays, probabilities
from calib.protocol import Protocol
from calib.runtime import Runtime
from calib.seeds import stacked
from calib.together import Problem, in_stacks, train_together
from calib.training import Epochs, Losses, Schedule, Step, Stream, train_stack


class Networks(nn.Module):
    """The networks of one joint model: C, D and one R for each batch that is reconstructed."""

    def __init__(self, calibrator: Calibrator, discriminator: Discriminator, rs: list[Reconstructor]) -> None:
        super().__init__()
        self.calibrator = calibrator
        self.discriminator = discriminator
        self.reconstructors = nn.ModuleList(rs)


class Joint(Method):
    """The joint training of C, D and R on all batches (Niu et al. 2021, Methods, Eqs 1-4).

    Args:
        epochs, batch_size, lr, learning_step, weight_decay: see ``training.Schedule``.
        alpha1, beta: weights of L_C and L_D in step A.
        alpha2, gamma: weights of L_C and L_R in step B.
        lambda1, lambda2: how often step A and step B are repeated in an iteration.
        dropout: share of outputs zeroed in C and R; the text gives no value, the released code has 0.5.
        reconstruct_targets: the ablation Recon_T, with a reconstructor for every batch.
        protocol: readings of the paper; see ``calib.protocol``.

    Raises:
        CalibError: a value is no number or too small.
    """

    trains_together = True

    def __init__(
        self,
        epochs: Epochs,
        batch_size: int,
        lr: float,
        learning_step: int,
        weight_decay: float,
        alpha1: float,
        beta: float,
        alpha2: float,
        gamma: float,
        lambda1: int,
        lambda2: int,
        dropout: float,
        reconstruct_targets: bool,
        protocol: Protocol,
    ) -> None:
        self.schedule = Schedule(epochs, batch_size, lr, learning_step, weight_decay)
        self.protocol = protocol
        self.alpha1, self.beta, self.alpha2, self.gamma = alpha1, beta, alpha2, gamma
        self.lambda1, self.lambda2 = lambda1, lambda2
        self.dropout = dropout
        self.reconstruct_targets = reconstruct_targets
        for key in ("alpha1", "beta", "alpha2", "gamma"):
            check_number(key, getattr(self, key), least=0)
        for key in ("lambda1", "lambda2"):
            check_number(key, getattr(self, key), least=1, whole=True)
        check_number("dropout", dropout, least=0, below=1)
        check_flag("reconstruct_targets", reconstruct_targets)

    def most_weights(self, features: int, sources: int, batches: int) -> int:
        """Return the weights of C and of every R, which have two layers as wide as the data."""
        return 2 * features**2 * (1 + (batches if self.reconstruct_targets else sources))

    def networks(self, task: Task, runtime: Runtime) -> Networks:
        """Return untrained networks for a task."""
        reconstructed = task.batches if self.reconstruct_targets else task.sources
        return self._networks(task.sources[0].x.shape[1], task.n_classes, len(reconstructed), runtime)

    def _networks(self, features: int, n_classes: int, reconstructed: int, runtime: Runtime) -> Networks:
        """Return untrained networks with ``reconstructed`` reconstructors."""
        initial = runtime.generator("initial weights")
        networks = Networks(
            Calibrator(features, self.dropout, initial),
            Discriminator(features, n_classes, initial, self.protocol.residual),
            [Reconstructor(features, self.dropout, initial) for _ in range(reconstructed)],
        )
        networks.calibrator.bn.test_statistics = self.protocol.calibrator_test_statistics
        networks.discriminator.bn.test_statistics = self.protocol.discriminator_test_statistics
        return networks.to(runtime.device, runtime.dtype)

    def steps(self, networks: Networks, pool: Pool, sources: int, runtimes: Sequence[Runtime]) -> list[Step]:
        """Return step A, which trains C and D, and step B, which trains C and R (Fig. 1).

        Together they minimise Eq. 4. ``networks`` is a stack of networks, one for each runtime's seed; the
        first ``sources`` batches of ``pool`` are sources.
        """
        c, d, rs = networks.calibrator, networks.discriminator, networks.reconstructors
        noise = [runtime.generator("dropout", on_device=True) for runtime in runtimes]
        protocol = self.protocol

        def discrepancy(z: Tensor) -> Tensor:
            """Return L_C (Eq. 1) of codes ``(seeds, batches, rows, features)``, one value a seed."""
            return calibration_loss(z, protocol.kernel_widths, protocol.mmd_pairs)

        def step_a(rows: Tensor) -> Losses:
            """Return the losses of step A: L_C (Eq. 1) of all batches and L_D (Eq. 3) of the sources."""
            z = c(pool.x(rows), noise)  # (seeds, batches, rows, features)
            l_d = classification_loss(
                d(z[:, :sources]),
                pool.y(rows),
                protocol.class_loss_over_sources,
                protocol.class_loss_multiclass,
            )
            return {"L_C (A)": (self.alpha1, discrepancy(z)), "L_D": (self.beta, l_d)}

        def step_b(rows: Tensor) -> Losses:
            """Return the losses of step B: L_C (Eq. 1) of all batches and L_R (Eq. 2) of those with an R."""
            x = pool.x(rows)
            z = c(x, noise)
            x_hat = torch.stack([r(z[:, k], noise) for k, r in enumerate(rs)], dim=1)
            l_r = reconstruction_loss(x[:, : len(rs)], x_hat, protocol.reconstruction_over_sources)
            return {"L_C (B)": (self.alpha2, discrepancy(z)), "L_R": (self.gamma, l_r)}

        return [Step([c, d], self.lambda1, step_a, noise), Step([c, *rs], self.lambda2, step_b, noise)]

    def fit(self, task: Task, runtime: Runtime) -> "FittedJoint":
        """Train C, D and R on the task; targets take part without labels."""
        (fitted,) = self.fit_together([task], [runtime])
        return fitted

    def fit_together(self, tasks: Sequence[Task], runtimes: Sequence[Runtime]) -> list["FittedJoint"]:
        """Train a model for each task and seed, all of one shape at once; see ``together.in_stacks``."""
        problems = [Problem(*pair) for pair in zip(tasks, runtimes, strict=True)]
        first = tasks[0]
        weights = self.most_weights(first.sources[0].x.shape[1], len(first.sources), len(first.batches))
        networks: dict[int, Networks] = {}
        for places in in_stacks(problems, self.schedule, weights):
            trained = train_together(self._train, [problems[place] for place in places])
            networks.update(zip(places, trained, strict=True))
        return [FittedJoint(networks[place], runtime) for place, runtime in enumerate(runtimes)]

    def _train(self, problems: Sequence[Problem], limit: int | None) -> list[Networks]:
        """Return trained networks for each problem, after at most ``limit`` iterations if it is given."""
        tasks, runtimes = ([getattr(one, part) for one in problems] for part in ("task", "runtime"))
        networks = [self.networks(*pair) for pair in zip(tasks, runtimes, strict=True)]
        pool = Pool.of_tasks(tasks, runtimes[0])
        steps = self.steps(stacked(networks), pool, len(tasks[0].sources), runtimes)
        streams = [Stream(one.runtime, "joint training", one.sizes) for one in problems]
        train_stack(steps, streams, self.schedule, self.protocol, limit)
        return networks

    @property
    def why_no_new_batches(self) -> str:
        """Return "": C and D take any batch."""
        return ""

    def restore(self, state: State, features: int, n_classes: int, runtime: Runtime) -> "FittedJoint":
        """Return the trained C and D; a trained model needs no reconstructors."""
        fitted = FittedJoint(self._networks(features, n_classes, 0, runtime), runtime)
        load_arrays(fitted.lasting, state)
        return fitted


def _own_statistics(samples: Samples, *norms: BatchNorm) -> bool:
    """Return whether a batch norm takes the batch's own statistics at test.

    Raises:
        DataError: it does, and the batch has no two different rows.
    """
    own = any(norm.test_statistics == "own" for norm in norms)
    if own:
        check_varies(samples.x, f"Batch '{samples.name}'")
    return own


class FittedJoint:
    """A trained joint model in test mode, with codes Z = C(X) and probabilities D(C(X))."""

    def __init__(self, networks: Networks, runtime: Runtime) -> None:
        self.networks = networks.eval()
        self._runtime = runtime

    @property
    def lasting(self) -> dict[str, Calibrator | Discriminator]:
        """Return the networks that predictions need, by name."""
        return {"calibrator": self.networks.calibrator, "discriminator": self.networks.discriminator}

    def state(self) -> State:
        """Return the parameters and buffers of C and D."""
        return arrays(self.lasting)

    def transform(self, samples: Samples) -> FloatArray:
        """Return the codes ``(samples, features)`` of a batch."""
        c = self.networks.calibrator
        own = _own_statistics(samples, c.bn)
        return by_blocks(c, samples.x, self._runtime, whole=own)

    def predict_proba(self, samples: Samples) -> FloatArray:
        """Return the class probabilities ``(samples, classes)`` of a batch."""
        c, d = self.networks.calibrator, self.networks.discriminator
        own = _own_statistics(samples, c.bn, d.bn)
        return by_blocks(lambda x: probabilities(d(c(x))), samples.x, self._runtime, whole=own)
