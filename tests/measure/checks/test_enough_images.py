"""The check on the number of images, and what all checks have in common."""

import pytest

from edgesqueeze.errors import CheckError
from edgesqueeze.measure.checks.check import Check, Finding, check_from_json, checks_text, require
from edgesqueeze.measure.checks.enough_images import AnswersEvidence, check_enough_images
from edgesqueeze.numerics.bootstrap import BootstrapTest
from edgesqueeze.numerics.proportions import mcnemar_exact, wilson_interval
from edgesqueeze.task.metrics import Measure, top1_accuracy

ACCURACY = Measure(top1_accuracy)
ERRORS = Measure(top1_accuracy, higher_is_better=False)


def answers(total, unpaired="", measure=ACCURACY, **tests):
    pairs = {name: mcnemar_exact(*counts) for name, counts in tests.items()}
    return AnswersEvidence("accuracy", measure, "train", 0.9, total, pairs, unpaired)


def drawn(unit, value=0.5, total=1000, **tests):
    """Files by their change, its standard error and its p-value."""
    measure = Measure(top1_accuracy, unit=unit)
    found = {
        name: BootstrapTest(change, error, change - 2 * error, change + 2 * error, p, 1000)
        for name, (change, error, p) in tests.items()
    }
    return check_enough_images(AnswersEvidence("m", measure, "train", value, total, found))


def said(check):
    return [finding.text() for finding in check.findings]


def test_a_change_that_may_be_chance_is_said_once_for_files_that_agree():
    check = check_enough_images(answers(1000, a=(5, 2), b=(5, 2), c=(30, 5)))
    assert [finding.text() for finding in check.findings] == [
        "a, b: a change of -0.30 points against 'train' may be chance "
        "(5 of 1,000 images lost, 2 won, p 0.45; about 3,624 images would tell)"
    ]


@pytest.mark.parametrize(
    "tests",
    [
        {"a": (60, 20)},  # a real loss, seen
        {"a": (8, 0)},  # few, but all one way
        {"a": (34, 33)},  # a hundredth of a point: no claim
        {"a": (0, 0)},
    ],
)
def test_what_the_images_can_show_passes(tests):
    assert check_enough_images(answers(10_000, **tests)).status == "ok"


def test_too_few_images_are_said_even_if_nothing_was_lost():
    check = check_enough_images(answers(599, a=(0, 0)))
    assert [finding.text() for finding in check.findings] == [
        "599 test images cannot show a change below 1.00 points; 600 can show one of 1.00"
    ]
    assert check_enough_images(answers(600, a=(0, 0))).status == "ok"


def test_metrics_that_cannot_be_paired_are_said_and_do_not_fire():
    check = check_enough_images(answers(10, "'miou' is not the share of test images that are right"))
    assert (check.status, check.faults) == ("cannot tell", ())
    assert check.findings[0].what == "'miou' is not the share of test images that are right"
    assert check_enough_images(answers(10)).status == "not checked"


def test_of_errors_more_are_a_loss():
    check = check_enough_images(answers(1000, measure=ERRORS, a=(5, 2)))
    assert said(check)[0].startswith(
        "a: a change of +0.30 points against 'train' may be chance (5 of 1,000 images"
    )


def test_a_change_of_another_metric_may_be_chance_in_its_own_unit():
    assert said(drawn("share", a=(-0.01, 0.01, 0.32), b=(-0.01, 0.01, 0.32), c=(-0.05, 0.01, 0.001))) == [
        "a, b: a change of -1.00 points against 'train' may be chance "
        "(paired bootstrap, p 0.32; about 3,841 images would tell)"
    ]
    assert "a: a change of -0.10 dB against" in said(drawn("dB", 30.0, a=(-0.1, 0.1, 0.3)))[0]
    assert "a: a change of +0.012 against" in said(drawn("number", 2.0, a=(0.012, 0.01, 0.3)))[0]


def test_a_split_that_could_not_show_a_loss_is_said_although_none_was_found():
    assert said(drawn("share", a=(0.0005, 0.01, 0.9))) == [
        "a: 1,000 test images cannot show a change below 1.96 points; about 3,841 can show one of 1.00 points"
    ]
    assert (
        "below 0.39 dB; about 1,707 can show one of 0.30 dB" in said(drawn("dB", 30.0, a=(0.01, 0.2, 0.9)))[0]
    )
    assert (
        "below 0.0392; about 3,841 can show one of 0.02" in said(drawn("number", 2.0, a=(0.0, 0.02, 1.0)))[0]
    )


@pytest.mark.parametrize(
    "test",
    [
        (-0.10, 0.03, 0.001),  # a real loss, although small ones would not show
        (0.0005, 0.001, 0.6),  # no claim, and a small loss would show
        (0.0, 0.0, 1.0),  # the same answers
    ],
)
def test_what_the_draws_can_show_passes(test):
    check = drawn("share", a=test)
    assert check.status == "ok"
    assert check.passed.endswith(
        "of 0.10 points or more shown for a file is no chance (paired bootstrap, p < 0.05)"
    )


def test_a_handful_of_images_cannot_be_drawn():
    assert said(drawn("share", total=29, a=(0.0, 0.0, 1.0))) == [
        "29 test images are too few to be drawn again and again; 30 are the fewest"
    ]
    assert drawn("share", total=30, a=(0.0, 0.0, 1.0)).status == "ok"


def test_a_baseline_of_zero_has_no_changes_to_tell():
    assert drawn("number", 0.0, a=(0.0, 0.0, 1.0)).status == "ok"


FIRED = Check("smaller", findings=(Finding("fault", "one is larger", ("a", "b")), Finding("note", "hm")))
UNSURE = Check("enough images", findings=(Finding("doubt", "may be chance"),))
CHECKS = (FIRED, UNSURE, Check("faster", passed="all are"), Check("delegate", unchecked="no TFLite file"))


def test_every_fault_is_named_when_checks_are_required():
    with pytest.raises(CheckError) as raised:
        require((*CHECKS, Check("other", findings=(Finding("fault", "two"),))))
    assert str(raised.value) == "2 of 5 checks found a fault. smaller: one is larger: a, b. other: two."
    require(CHECKS[1:])


def test_checks_print_and_read_back():
    assert checks_text(CHECKS).splitlines() == [
        "Did it really work: of 4 checks 1 hold, 1 found a fault, 1 cannot tell, 1 not checked",
        "",
        "- FAULT smaller: one is larger: a, b",
        "- note smaller: hm",
        "- cannot tell enough images: may be chance",
        "- ok faster: all are",
        "- not checked delegate: no TFLite file",
    ]
    assert [check.status for check in CHECKS] == ["fired", "cannot tell", "ok", "not checked"]
    assert checks_text(CHECKS[2:3]).startswith("Did it really work: of 1 checks 1 hold, none found a fault\n")
    assert [check_from_json(check.to_json()) for check in CHECKS] == list(CHECKS)


@pytest.mark.parametrize(
    ("agreeing", "total", "words"),
    [
        (
            72,
            72,
            "a: the agreement is 100.00 % and may be 94.93 % (95 % interval); 72 images cannot tell that it",
        ),
        (73, 73, "the images tell for every file whether its agreement is 95.00 % or more (95 % interval)"),
        (50, 100, "the images tell for every file whether its agreement is 95.00 % or more (95 % interval)"),
    ],
)
def test_without_labels_the_interval_must_not_reach_below_the_bound(agreeing, total, words):
    known = {"a": (agreeing / total, wilson_interval(agreeing, total))}
    evidence = AnswersEvidence("agreement", ACCURACY, "net", 1.0, total, {}, least=0.95, fidelity=known)
    assert words in " ".join(check_enough_images(evidence).lines())
