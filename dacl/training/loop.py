"""The training loop: draw, augment, losses, step, after_step, log, validate, checkpoint.

A run is a folder: run.json, config.toml, metrics.jsonl, progress.png, latest.pt, best.pt. Every random draw is either
a function of (seed, purpose, step) or lies in the torch states that the checkpoint holds, so that on the CPU a run
killed at any moment and resumed ends with the same bits as one left alone.

Several ranks walk this loop together, each on its share of the batch; the first alone writes (`distributed`).
"""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dacl import __version__
from dacl.config import Config, resolve
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.typical import grid_notes, gridded, typical
from dacl.errors import DaclError
from dacl.methods import METHODS, Batch
from dacl.methods.base import Moment, Terms
from dacl.networks.convolution import over_groups
from dacl.ranks import ALONE, Ranks
from dacl.training import checkpoint, distributed, silent, streams
from dacl.training.ahead import Ahead
from dacl.training.compiled import compiled_terms, has_fixed_shapes, worth_compiling
from dacl.training.device import device_name, peak_memory_mb, precision_name, trains_in_bf16
from dacl.training.estimate import seconds_left
from dacl.training.feed import Feed
from dacl.training.folder import begin_folder, sole_journal
from dacl.training.health import Watch
from dacl.training.journal import Journal, require_tensorboard
from dacl.training.optimizer import optimizer_of, restore_optimizer
from dacl.training.recent import RecentLosses
from dacl.training.records import Record, train_record, val_record, warning_record
from dacl.training.replay import Replayed
from dacl.training.report import Listener, Plan, RunSummary
from dacl.training.schedule import poly_lr, set_lr
from dacl.training.validation import validate


class Finished(DaclError):
    """There is nothing left to train."""


class Trainer:
    """One run; `resume` makes one that goes on.

    Args:
        config: what to run.
        dataset: the prepared data.
        run_dir: where the run is written; created by `run`.
        ranks: the processes that train it together.

    Raises:
        DaclError: the data cannot serve the request, the batch the ranks, or the device is absent.
    """

    _terms: Terms
    """Of the last step."""
    # What `run` begins with, and nobody has before.
    journal: Journal
    _watch: Watch
    _clock: tuple[float, int]
    """Time and step from which speed is counted: the last validation, or where `run` began."""

    def __init__(
        self,
        config: Config,
        dataset: PreparedDataset,
        run_dir: Path,
        ranks: Ranks = ALONE,
    ) -> None:
        self.config, self.dataset, self.run_dir, self.ranks = config, dataset, run_dir, ranks
        self.device = distributed.device_of(ranks, config.device)
        # On a GPU some operations have no deterministic form, or a slow one.
        torch.use_deterministic_algorithms(self.device.type == "cpu")
        # It would also fill all new memory, which nobody reads: up to 3 % of a step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if config.journal.tensorboard:
            require_tensorboard()
        method_class = METHODS[config.method]
        self.feed = Feed(
            config, dataset, self.device, unlabeled=method_class.uses_unlabeled, ranks=ranks
        )
        self._data_facts = checkpoint.data_facts(dataset)
        self.val_cases = [case for case in dataset.cases(dataset.split.val) if case.has_label]

        self.method = method_class(
            config, channels=len(dataset.channels), classes=len(dataset.class_names)
        ).to(self.device)
        self.method.bf16 = trains_in_bf16(config, self.device)
        self.method.ranks = ranks
        self.notes = distributed.join_statistics(self.method, ranks, self.device)
        self._compiled_terms = compiled_terms(self.method) if config.compile else None
        self.optimizer = optimizer_of(self.method, config.optim, self.device)
        replays = self.device.type == "cuda" and ranks.world == 1 and has_fixed_shapes(config)
        self._replayed = Replayed() if replays and config.cuda_graph else None
        if self._replayed or config.compile:
            over_groups(self.method, self.device)
        self._drawn = Ahead(self.feed.batch, self.method.moment, self.device)
        self.step = 0
        self._rng: dict[str, Tensor] | None = None
        self.best: dict[str, Any] | None = None
        self._recent = RecentLosses(run_dir)

    @classmethod
    def resume(
        cls,
        run_dir: Path,
        dataset_root: Path | None = None,
        ranks: Ranks = ALONE,
        machine: Mapping[str, Any] | None = None,
    ) -> "Trainer":
        """Go on from a run's newest checkpoint.

        Args:
            run_dir: the run's folder.
            dataset_root: where its data lies now.
            ranks: the processes that go on with it together.
            machine: values of `dacl.config.MACHINE_KEYS` in the place of the run's own.

        Raises:
            DaclError: no such run, a damaged checkpoint, a finished run, or data that changed since.
        """
        if run_dir.is_file():
            raise DaclError(f"{run_dir} is a file", f"give the run's folder: {run_dir.parent}")
        path, state = checkpoint.load_newest(run_dir)
        with checkpoint.must_fit(path):
            config = resolve(state["config"]["preset"], state["config"])
            meta, step = checkpoint.read_meta(state), int(state["step"])
        # out here, because a wrong machine option is no damaged checkpoint
        config = resolve(config.preset, state["config"], machine or {})
        # a best.pt of the last step alone: its latest.pt is still to be written
        if step >= config.optim.steps and path.stem == "latest":
            raise Finished(
                f"{run_dir} is finished: {step} of {config.optim.steps} steps",
                f"evaluate it: dacl evaluate {shlex.quote(str(run_dir))}",
            )
        trainer = cls(config, checkpoint.open_data(meta, path, dataset_root), run_dir, ranks)
        with checkpoint.must_fit(path):
            trainer._restore(state)
        return trainer

    def run(
        self, listener: Listener | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> RunSummary:
        """Train to the end, or until `should_stop` answers true between two steps; either way latest.pt is written."""
        every, total = self.config.journal, self.config.optim.steps
        listener = silent.listener_of(self.ranks, listener)
        distributed.require_same(self.ranks, **self._facts())
        with self._own_folder():
            listener.planned(self.plan())
            streams.begin(self.device, self.ranks, self.config.seed, self.step, self._rng)
            self._clock = (time.perf_counter(), self.step)
            self.method.train()
            while self.step < total:
                self.train_step()
                listener.stepped(self.step)
                last = self.step == total
                if self.step % every.log_every == 0 or last:
                    listener.logged(record := self._log())
                    self._warn(record, listener)
                if self.val_cases and (self.step % self.config.validate_every == 0 or last):
                    self._validate(listener)
                stop = distributed.any_of(self.ranks, should_stop())
                if stop or last:
                    break
                if self.step % every.checkpoint_every == 0:
                    self._save("latest")
            self._save("latest")
            self.journal.draw()
            return RunSummary(self.run_dir, self.step, self.step == total, self.best)

    def train_step(self) -> None:
        """Draw a batch, learn from it, and keep its losses."""
        batch, moment = self._drawn(self.step)
        lr = poly_lr(self.step, self.config.optim)
        if self._replayed:
            self._terms = self._replayed(self._update, batch, moment, lr)
        else:
            self._terms = self._update(batch, moment, lr)
        self._recent.add(self._terms, self.ranks)
        self.step += 1
        if self.step < self.config.optim.steps:
            self._drawn.prepare(self.step)

    def _update(self, batch: Batch, moment: Moment, lr: float | Tensor) -> Terms:
        """Losses of the batch, new weights, and what the method does after it."""
        set_lr(self.optimizer, lr)
        terms = (self._compiled_terms or self.method.terms)(batch, moment)
        terms.total.backward()
        distributed.average_gradients(self.ranks, self.method.parameters())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.method.after_step(moment.step)
        return replace(terms, total=terms.total.detach())

    def _log(self) -> Record:
        means = self._recent.taken(self.step)
        lr = poly_lr(self.step - 1, self.config.optim)
        weights = self.method.weights(self.step - 1)
        names = self.dataset.class_names[1:]
        return self._written(train_record(self.step, means, self._terms, weights, lr, names))

    def _warn(self, record: Record, listener: Listener) -> None:
        for text in self._watch(record):
            self.journal.append(warning_record(self.step, text))
            listener.warned(text, self.step)

    def _written(self, record: Record) -> Record:
        record |= {"wall": self._wall()}
        self.journal.append(record)
        return record

    def _validate(self, listener: Listener) -> None:
        self._recent.require_finite(self.step)
        distributed.share_running_statistics(self.ranks, self.method)
        found = validate(self.method, self.dataset, self.val_cases, self.device, self.ranks)
        record = self._written(val_record(self.step, found, self.dataset.class_names[1:]))
        listener.validated(record)
        # before the best is saved: a run may go on from it, with this journal
        self._warn(record, listener)
        judged = record["mean_dice"]["a"]
        if self.best is None or judged > self.best["dice"]:
            self.best = {"step": self.step, "dice": judged}
            self._save("best")
        self.journal.draw()
        self._clock = (time.perf_counter(), self.step)

    def plan(self) -> Plan:
        """What is about to happen, with a time estimate from a few steps of a copy."""
        image = self.config.image
        cases = [*self.feed.labeled_cases, *self.feed.unlabeled_cases]
        scans = [gridded(case, image) for case in cases]
        return Plan(
            run_dir=self.run_dir,
            config=self.config,
            dataset=self.dataset,
            device=device_name(self.device),
            bf16=self.method.bf16,
            threads=torch.get_num_threads(),
            ranks=self.ranks.world,
            labeled_volumes=len(self.feed.labeled_cases),
            labeled_slices=_slices(self.feed.labeled_cases),
            unlabeled_patients=len(self.feed.unlabeled_patients),
            unlabeled_slices=_slices(self.feed.unlabeled_cases),
            val_patients=len({case.patient for case in self.val_cases}),
            typical=typical(scans),
            start_step=self.step,
            estimated_seconds=seconds_left(
                self.method, self.feed, self.dataset, self.val_cases, self.device, self.step
            ),
            notes=(
                *self.notes,
                *grid_notes(scans, image),
                *worth_compiling(self.config, self.device, self.ranks, self.step),
            ),
        )

    def _wall(self) -> dict[str, float]:
        start, step = self._clock
        seconds = time.perf_counter() - start
        return {
            "time": time.time(),
            "steps_per_second": (self.step - step) / seconds if seconds > 0 else 0.0,
            "peak_memory_mb": peak_memory_mb(self.device),
        }

    def _machine(self) -> dict[str, Any]:
        """What may change the bits of a result, but not what it means."""
        return {
            "device": device_name(self.device),
            "precision": precision_name(self.method.bf16, self.device),
            "threads": torch.get_num_threads(),
            "ranks": self.ranks.world,
        }

    @staticmethod
    def _software() -> dict[str, str]:
        """Versions, which may change the bits as well; `run.json` has them among its packages."""
        return {"dacl": __version__, "torch": str(torch.__version__)}

    def _facts(self) -> dict[str, Any]:
        """What ranks that train together have in common."""
        return {
            "configuration": self.config.model_dump(mode="json"),
            "data": (self.dataset.fingerprint, self.dataset.split.hash),
            "step to begin with": self.step,
            "precision": self._machine()["precision"],
        }

    def meta(self) -> checkpoint.RunMeta:
        """What the checkpoint remembers of the data."""
        dataset = self.dataset
        return checkpoint.RunMeta(
            dataset_name=dataset.name,
            dataset_root=str(dataset.root),
            dataset_from_run=os.path.relpath(dataset.root, self.run_dir),
            dataset_fingerprint=dataset.fingerprint,
            class_names=dataset.class_names,
            channels=len(dataset.channels),
            synthetic=dataset.synthetic,
            intensity=dataset.intensity,
            split_name=dataset.split.name,
            split_hash=dataset.split.hash,
            labeled_patients=self.feed.labeled_patients,
            **self._data_facts,
        )

    @contextmanager
    def _own_folder(self) -> Iterator[None]:
        """Begin the run's folder, or cut its journal back to the checkpoint gone on from, and keep others out of it."""
        with ExitStack() as held:
            self.journal = silent.NoJournal(self.run_dir)

            def begin() -> None:
                if self.step == 0:
                    begin_folder(self.run_dir, self.config, self.meta(), self._machine())
                tensorboard = self.config.journal.tensorboard
                journal = sole_journal(self.run_dir, tensorboard=tensorboard, step=self.step)
                self.journal = held.enter_context(journal)

            distributed.on_first(self.ranks, begin)
            self._watch = Watch(self.config, unlabeled=self.feed.unlabeled is not None)
            if self.step > 0:
                self._watch.replay(self.journal.records())
            yield

    def _save(self, name: str) -> None:
        # a checkpoint is never newer than a NaN
        self._recent.require_finite(self.step)
        self._recent.require_finite_weights(self.method, self.step)
        rng = streams.states(self.device)
        state = {
            "step": self.step,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": rng,
            "rng_of_others": self.ranks.gather_objects(rng)[1:],
            "since_log": [losses.cpu() for losses in self._recent.of_steps],
            "best": self.best,
            "config": self.config.model_dump(mode="json"),
            "meta": checkpoint.pack_meta(self.meta()),
            "machine": self._machine() | self._software(),
            "rule": name,
        }
        distributed.on_first(
            self.ranks, partial(checkpoint.save, self.run_dir / f"{name}.pt", state)
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state["method"])
        restore_optimizer(self.optimizer, state["optimizer"])
        of_ranks = [state["rng"], *state.get("rng_of_others", [])]
        if self.ranks.rank < len(of_ranks):
            own = of_ranks[self.ranks.rank]
            self._rng = {name: torch.ByteTensor(stream) for name, stream in own.items()}
        self.step, self.best = state["step"], state["best"]
        self._recent.restore(state["since_log"], self.device)
        machine = self._machine() | self._software()
        self.notes += [
            f"{key}: the run began with {before} and goes on with {machine[key]}; not the same bits"
            for key, before in ({"ranks": 1} | state["machine"]).items()
            if machine[key] != before
        ]


def _slices(cases: Sequence[CaseInfo]) -> int:
    return sum(case.shape_ZHW[0] for case in cases)
