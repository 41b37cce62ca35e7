"""The check on the number of images, and what all checks have in common."""

import pytest

from edgesqueeze.errors import CheckError
from edgesqueeze.measure.checks.check import Check, Finding, check_from_json, checks_text, require
from edgesqueeze.measure.checks.enough_images import AnswersEvidence, check_enough_images
from edgesqueeze.numerics.proportions import mcnemar_exact


def answers(total, unpaired="", **tests):
    pairs = {name: mcnemar_exact(*counts) for name, counts in tests.items()}
    return AnswersEvidence("accuracy", "train", total, pairs, unpaired)


def test_a_change_that_may_be_chance_fires_once_for_files_that_agree():
    check = check_enough_images(answers(1000, a=(5, 2), b=(5, 2), c=(30, 5)))
    assert [finding.text() for finding in check.faults] == [
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


def test_too_few_images_fire_even_if_nothing_was_lost():
    check = check_enough_images(answers(599, a=(0, 0)))
    assert [finding.text() for finding in check.faults] == [
        "599 test images cannot show a change below 1.00 points; 600 can show one of 1.00"
    ]
    assert check_enough_images(answers(600, a=(0, 0))).status == "ok"


def test_metrics_that_cannot_be_paired_are_said_and_do_not_fire():
    check = check_enough_images(answers(10, "'miou' is not the share of test images that are right"))
    assert (check.status, check.findings) == ("not checked", ())
    assert check_enough_images(answers(10)).status == "not checked"


FIRED = Check("smaller", findings=(Finding("fault", "one is larger", ("a", "b")), Finding("note", "hm")))
CHECKS = (FIRED, Check("faster", passed="all are"), Check("delegate", unchecked="no TFLite file"))


def test_every_fault_is_named_when_checks_are_required():
    with pytest.raises(CheckError) as raised:
        require((*CHECKS, Check("other", findings=(Finding("fault", "two"),))))
    assert str(raised.value) == "2 of 4 checks fired. smaller: one is larger: a, b. other: two."
    require(CHECKS[1:])


def test_checks_print_and_read_back():
    assert checks_text(CHECKS).splitlines() == [
        "Did it really work: 1 of 3 checks fired",
        "",
        "- FIRED smaller: one is larger: a, b",
        "- note smaller: hm",
        "- ok faster: all are",
        "- not checked delegate: no TFLite file",
    ]
    assert [check.status for check in CHECKS] == ["fired", "ok", "not checked"]
    assert [check_from_json(check.to_json()) for check in CHECKS] == list(CHECKS)
