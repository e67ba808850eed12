"""Predictions and dataset → quality of one cell: a score per row for every metric that applies."""

from typing import NamedTuple

import numpy as np

from harness.analyse.precision import FULL
from harness.evaluate import rowwise
from harness.evidence.run import Cell
from harness.score.records import Measure, RowScores
from harness.spec.arrays import Array
from harness.spec.diagnostics import Diagnostic, diagnostic
from harness.spec.metrics import lookup
from harness.spec.suite import Candidate
from harness.spec.variant import Variant

_AGREEMENT = "fp32_agreement"


class QualityData(NamedTuple):
    """What quality is judged by: the evaluation split's labels and weights, predictions, the reference's outputs.

    `full` are the outputs of the same candidate in fp32, if the run has a lower precision of it too; for a cell in
    fp32 its own `predictions`.
    """

    labels: Array | None
    weights: Array | None
    predictions: Array | None
    reference: Array | None
    full: Array | None = None


class Quality(NamedTuple):
    """What is known of a cell's quality, and a warning where predictions cannot be judged."""

    metrics: dict[str, Measure]
    rows: dict[str, RowScores]
    problems: tuple[Diagnostic, ...]


def quality(cell: Cell, data: QualityData) -> Quality:
    """Judge a cell's predictions."""
    problems = _misfit(cell, data)
    rows = {} if data.predictions is None else _row_scores(cell, data._replace(labels=None) if problems else data)
    metrics = {key: _of_rows(key, scores) for key, scores in rows.items()} | _output_difference(data)
    if data.full is not None and data.full is data.predictions and cell.candidate.task == "classification":
        metrics[_AGREEMENT] = exact(_AGREEMENT, 1.0, len(data.full))
    return Quality(metrics, rows, problems)


def agreement_after_conversion(candidate: Candidate, variant: Variant | None) -> dict[str, Measure]:
    """Return the agreement with fp32 on the rows that were compared after the conversion; empty without any.

    It stands in where the candidate has no row in fp32.
    """
    lower = variant is not None and variant.precision != FULL and candidate.precision == FULL
    parity = variant.parity if variant is not None and lower else None
    if parity is None or parity.top1_agreement is None:
        return {}
    same = np.arange(parity.rows) < round(parity.top1_agreement * parity.rows)
    return {_AGREEMENT: _of_rows(_AGREEMENT, RowScores(values=same.astype(np.float64)))}


def exact(key: str, value: float, n: int = 1) -> Measure:
    """Return the measure of a number that has no spread."""
    return Measure(value=value, low=value, high=value, n=n, trials=1, unit=lookup(key).unit, basis="exact")


def _misfit(cell: Cell, data: QualityData) -> tuple[Diagnostic, ...]:
    """Return the warning that says why predictions cannot be judged against the labels, if they cannot."""
    labels, predictions = data.labels, data.predictions
    if labels is None or predictions is None:
        return ()
    problem = rowwise.misfit(predictions, labels, cell.candidate.task)
    if problem is None and cell.candidate.task == "classification" and labels.size != len(labels):
        problem = f"labels {list(labels.shape)} are not one class number per row"
    return (diagnostic("quality_unknown", f"no quality is known: {problem}", cell.name),) if problem else ()


def _row_scores(cell: Cell, data: QualityData) -> dict[str, RowScores]:
    """Return the scores of every row-wise metric that applies to the candidate's task and the data at hand."""
    assert data.predictions is not None
    task, found = cell.candidate.task, {}
    for key, metric in rowwise.metrics(task).items():
        truth = {"labels": data.labels, "reference": data.reference, "fp32": data.full}[metric.against]
        if truth is data.predictions:
            continue
        if truth is not None and (metric.against == "labels" or not rowwise.misfit(data.predictions, truth, task)):
            values = np.asarray(metric.scores(data.predictions, truth), dtype=np.float64)
            found[key] = RowScores(values=values, weights=data.weights, transform=metric.transform)
    return found


def _of_rows(key: str, scores: RowScores) -> Measure:
    found = rowwise.summarise(scores.values, scores.weights, scores.transform)
    return Measure(**found._asdict(), trials=1, unit=lookup(key).unit, basis="rows")


def _output_difference(data: QualityData) -> dict[str, Measure]:
    """Return the largest difference to the reference's outputs, where both are numbers of one shape."""
    if data.predictions is None or data.reference is None:
        return {}
    found, key = rowwise.max_abs_diff(data.predictions, data.reference), "output_max_abs_diff"
    return {} if found is None else {key: exact(key, found, len(data.reference))}
