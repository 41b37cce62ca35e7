"""The check "accuracy": what fires it, what does not, and whom it names."""

from dataclasses import replace

import numpy as np
import pytest

from edgesqueeze.measure.checks.accuracy.accuracy import (
    AccuracyEvidence,
    Judged,
    allowed_loss,
    check_accuracy,
)
from edgesqueeze.measure.checks.accuracy.variety import Variety
from edgesqueeze.numerics.bootstrap import BootstrapTest
from edgesqueeze.numerics.proportions import mcnemar_exact, wilson_interval
from edgesqueeze.task.metrics import Measure, top1_accuracy
from edgesqueeze.task.metrics.fidelity import fidelity_metrics

ACCURACY = Measure(top1_accuracy)
TOTAL = 1000
DIGITS = tuple("0123456789")
LABELS = np.arange(TOTAL) % 10


def evidence(*files, states=(("train", 0.9),), measure=ACCURACY, max_drop=None, **more):
    judged = [state if isinstance(state, Judged) else Judged(*state) for state in states]
    allowed = allowed_loss(measure, max_drop, judged[0].value)
    return AccuracyEvidence("m", measure, allowed, TOTAL, tuple(judged), files, classes=DIGITS, **more)


def counted(name, lost, won, before=0.9, **more):
    """A file that lost and won so many images."""
    return Judged(name, before + (won - lost) / TOTAL, test=mcnemar_exact(lost, won), **more)


def drawn(name, value, change, p):
    return Judged(name, value, test=BootstrapTest(change, 0.01, change, change, p, 1000))


def said(check, severity="fault"):
    return [finding.text() for finding in check.findings if finding.severity == severity]


def test_a_loss_beyond_a_point_that_is_no_chance_fires_once_for_files_that_agree():
    check = check_accuracy(evidence(counted("a", 30, 5), counted("b", 30, 5), counted("c", 10, 0)))
    assert said(check) == [
        "a, b: m is 87.50 % where 'train' has 90.00 %: 2.50 points worse, 1.00 points are allowed "
        "(30 of 1,000 images lost, 5 won, p < 0.001); train still has 90.00 %, so the file lost it"
    ]


@pytest.mark.parametrize(
    ("lost", "won", "status"), [(10, 0, "ok"), (40, 25, "fired"), (40, 28, "cannot tell")]
)
def test_the_loss_is_judged_by_the_bound_and_the_one_sided_test(lost, won, status):
    """A loss of exactly what is allowed passes; p is 0.041 of 40 to 25, and 0.091 of 40 to 28."""
    check = check_accuracy(evidence(counted("a", lost, won)))
    assert check.status == status
    if status == "ok":
        assert check.passed == "no file has lost more than 1.00 points of m against 'train'"
    if status == "cannot tell":
        assert "p 0.091, so it may be chance)" in said(check, "doubt")[0]


def test_a_recipe_says_what_may_be_lost():
    file = counted("a", 30, 5)
    assert check_accuracy(evidence(file, max_drop=2.5)).status == "ok"
    assert check_accuracy(evidence(file, max_drop=2.4)).status == "fired"
    assert check_accuracy(evidence(counted("a", 8, 0), max_drop=0.5)).status == "fired"


def test_other_metrics_are_judged_in_their_own_unit_and_direction():
    psnr, error = Measure(top1_accuracy, unit="dB"), Measure(top1_accuracy, False, "number")
    states = [("train", 30.0)]
    assert check_accuracy(evidence(drawn("a", 29.8, -0.2, 0.001), states=states, measure=psnr)).status == "ok"
    worse = evidence(drawn("a", 29.6, -0.4, 0.001), states=states, measure=psnr)
    assert said(check_accuracy(worse))[0].startswith(
        "a: m is 29.60 dB where 'train' has 30.00 dB: 0.40 dB worse, 0.30 dB are allowed (paired bootstrap, p 0.001)"
    )
    unsure = evidence(drawn("a", 29.6, -0.4, 0.2), states=states, measure=psnr)
    assert check_accuracy(unsure).status == "cannot tell"
    states = [("train", 2.0)]
    assert check_accuracy(evidence(drawn("a", 1.5, -0.5, 0.001), states=states, measure=error)).status == "ok"
    file = drawn("a", 2.05, 0.05, 0.001)
    assert check_accuracy(evidence(file, states=states, measure=error)).status == "fired"
    assert check_accuracy(evidence(file, states=states, measure=error, max_drop=0.1)).status == "ok"


def test_a_loss_without_a_test_cannot_be_told_and_no_number_is_a_fault():
    assert check_accuracy(evidence(Judged("a", 0.2))).status == "cannot tell"
    assert "which is no number" in said(check_accuracy(evidence(Judged("a", float("nan")))))[0]
    assert check_accuracy(evidence(Judged("a", 0.9))).status == "ok"
    assert check_accuracy(evidence()).status == "not checked"


def test_the_stage_that_lost_it_is_named():
    states = (("train", 0.9), ("02-prune", 0.4), ("03-share", 0.41), ("04-ptq", 0.4))
    found = said(check_accuracy(evidence(counted("a", 510, 10), states=states)))[0]
    assert found.endswith("; 02-prune lost it: 90.00 % before it, 40.00 % behind it")


SOME, FEW = Variety("classification", 0.88, 0.9, 1), Variety("classification", 0.02, 0.9, 7)


def test_answers_that_are_nearly_constant_fire_unless_the_baseline_is_so():
    states = (Judged("train", 0.9, SOME), Judged("02-prune", 0.9, SOME), Judged("03-qat", 0.9, FEW))
    check = check_accuracy(evidence(Judged("a", 0.9, FEW), states=states))
    assert said(check) == [
        "a: 98.00 % of the answers are class '7', no class is more than 10.00 % of the right ones; "
        "03-qat lost it: a variety of 0.88 before it, a variety of 0.02 behind it"
    ]
    check = check_accuracy(evidence(Judged("a", 0.9, FEW), states=(Judged("train", 0.9, FEW),)))
    assert check.status == "ok"
    assert said(check, "note")[0].endswith("; so it is of 'train'")
    check = check_accuracy(evidence(Judged("a", 0.9, SOME), states=states[:1]))
    assert check.passed.endswith(", none answers all images alike")


def of_class(label, count):
    """All images right but so many of one class."""
    right = np.full(TOTAL, True)
    right[np.flatnonzero(label == LABELS)[:count]] = False
    return right


def test_a_class_that_fell_fires_although_the_whole_did_not():
    train = Judged("train", 0.99, right=of_class(0, 0))
    states = (train, Judged("02-prune", 0.99, right=of_class(3, 12)))
    file = Judged("a", 0.99, right=of_class(3, 12), test=mcnemar_exact(12, 12))
    check = check_accuracy(evidence(file, states=states, labels=LABELS))
    assert said(check) == [
        "a: the recall of class '3' fell by 12.00 points (12 of its 100 images lost, 0 won, p 0.002); "
        "02-prune lost it: 100.00 % before it, 88.00 % behind it"
    ]
    ten = check_accuracy(evidence(replace(file, right=of_class(3, 10)), states=(train,), labels=LABELS))
    assert (ten.status, ten.findings) == ("ok", ())
    assert ten.passed.endswith("no class has lost more than 10 points of its recall")


def test_a_class_of_few_images_is_noted_and_does_not_fire():
    """One of 1,000 classes loses 5 of its 20 images: among so many some class does, by chance."""
    labels = np.arange(20_000) % 1000
    before, after = np.full(20_000, True), np.full(20_000, True)
    after[np.flatnonzero(labels == 500)[:5]] = False
    file = Judged("a", 0.99, right=after)
    check = check_accuracy(evidence(file, states=(Judged("train", 0.99, right=before),), labels=labels))
    assert check.status == "ok"
    assert said(check, "note") == [
        "a: the recall of class '500' fell by 25.00 points (5 of its 20 images lost, 0 won, p 1.000, "
        "so it may be chance)"
    ]


AGREEMENT = fidelity_metrics("classification")["agreement"]


@pytest.mark.parametrize(
    ("agreeing", "status", "words"),
    [
        (1000, "ok", "the m of every file is 95.00 % or more"),
        (950, "ok", "the m of every file is 95.00 % or more"),
        (
            945,
            "cannot tell",
            "a: the m with 'net.onnx' is 94.50 %, 95.00 % is the least; 1,000 images cannot tell, it may be 95.75 %",
        ),
        (
            900,
            "fired",
            "a: the m with 'net.onnx' is 90.00 %, 95.00 % is the least; net.onnx still has 100.00 %, so the file lost it",
        ),
    ],
)
def test_without_labels_the_agreement_has_a_bound_of_its_own(agreeing, status, words):
    file = Judged("a", agreeing / TOTAL, interval=wilson_interval(agreeing, TOTAL))
    found = evidence(file, states=(("net.onnx", 1.0),), measure=AGREEMENT, fidelity=True)
    check = check_accuracy(found)
    assert (check.name, check.status) == ("fidelity", status)
    assert words in " ".join(check.lines())


def test_without_labels_constant_answers_are_held_against_the_float_networks():
    same = Variety("classification", 0.0, 0.8, 3)
    file = Judged("a", 0.2, variety=same, interval=wilson_interval(200, TOTAL))
    found = evidence(file, states=(("net.onnx", 1.0),), measure=AGREEMENT, fidelity=True)
    assert "no class is more than 20.00 % of the float network's" in said(check_accuracy(found))[0]
