"""Points with their classes and patients, and scores of them under weights of the patients.

A weight is how often a patient is drawn; all weights 1 give the plain score, so that a score and its interval come from
one formula. A class without points, or without patients in a resample, is absent from it; what is undefined is nan.

Legend: R resamples, N points, C classes, P patients, D width of the space.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

undefined_is_nan = np.errstate(divide="ignore", invalid="ignore")
"""Decorates a score: 0 / 0 of an absent class is nan, without a warning."""


class Resampled(NamedTuple):
    """One score of every resample."""

    overall_R: Float[np.ndarray, "R"]
    by_class_RC: Float[np.ndarray, "R C"] | None = None
    """None for a score that is of all classes together."""


class Labelled(NamedTuple):
    """Points with what is known of them."""

    points_ND: Float[np.ndarray, "N D"]
    class_N: Integer[np.ndarray, "N"]
    patient_N: Integer[np.ndarray, "N"]
    n_classes: int
    n_patients: int

    @property
    def group_N(self) -> Integer[np.ndarray, "N"]:
        """Number of class and patient in one."""
        return self.class_N * self.n_patients + self.patient_N

    def sums(self, values_NX: np.ndarray) -> Float[np.ndarray, "C P *X"]:
        """Sum of a row of values over the points of every class and patient."""
        sums_GX = np.zeros((self.n_classes * self.n_patients, *values_NX.shape[1:]))
        np.add.at(sums_GX, self.group_N, values_NX)
        return sums_GX.reshape(self.n_classes, self.n_patients, *values_NX.shape[1:])


def directions(points_ND: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Vectors of length 1; one without a length stays as it is."""
    length_N1 = np.linalg.norm(points_ND, axis=1, keepdims=True)
    return points_ND / np.where(length_N1 > 0, length_N1, 1)


def weighted_sums(
    weights_RP: Float[np.ndarray, "R P"], values_CPX: Float[np.ndarray, "C P *X"]
) -> Float[np.ndarray, "R C *X"]:
    """Sums over patients, each as often as he is drawn."""
    return np.einsum("rp,cpx->rcx", weights_RP, values_CPX, optimize=True)


def folded(fold: np.ufunc, values_RCC: Float[np.ndarray, "R C C"]) -> Float[np.ndarray, "R C"]:
    """`np.fmin` or `np.fmax` over the last axis: nan only where all are."""
    return fold.reduce(values_RCC, axis=2)


def defined_mean(values_RC: Float[np.ndarray, "R C"]) -> Float[np.ndarray, "R"]:
    """Mean over the classes that have a value; nan where none has."""
    there = ~np.isnan(values_RC)
    return np.where(there, values_RC, 0).sum(axis=1) / there.sum(axis=1)


def all_alike(points_ND: Float[np.ndarray, "N D"]) -> bool:
    """Whether points differ by no more than the rounding of float32."""
    span = np.ptp(points_ND, axis=0).max()
    return bool(span <= 1e-6 * np.abs(points_ND).max())
