"""The rights that are asked about are those that the manifests give, and that the code uses."""

from __future__ import annotations

import pytest

from controller.plant import HOME
from deployment import test_rbac
from deployment.objects import manifest
from detnet.controller.settings import Settings
from detnet.plugin.check import Grade
from detnet.plugin.rights import Right, judged, needed, question, subject

LEASE = Settings().lease.name
PODS = Right("", "pods", "patch")


def test_every_right_that_the_manifests_give_is_asked_about_and_no_other() -> None:
    granted = test_rbac.granted(manifest("ml_controller_rbac.yaml"), "ml-controller")
    questions = [question(right, HOME, LEASE) for right in needed(Settings())]
    asked = {
        test_rbac.Right(
            it["group"], "/".join(filter(None, (it["resource"], it["subresource"]))), it["verb"], it["name"], it["namespace"]
        )
        for it in questions
    }
    assert asked <= granted
    assert {right._replace(name="") for right in granted} == {right._replace(name="") for right in asked}


def test_a_question_names_subresource_namespace_and_object() -> None:
    assert question(Right("g", "things/status", "patch"), HOME, LEASE) == {
        "group": "g", "resource": "things", "subresource": "status", "verb": "patch", "namespace": "", "name": "",
    }  # fmt: skip
    its = question(Right("g", "leases", "get", home=True, name=str), HOME, LEASE)
    assert (its["namespace"], its["name"]) == (HOME, LEASE)
    assert subject("n", "a")["user"] == "system:serviceaccount:n:a"


@pytest.mark.parametrize(
    ("allowed", "of_oneself", "result", "words"),
    [
        (True, False, Grade.OK, "may do all"),
        (False, False, Grade.FAIL, "may not: patch pods"),
        (True, True, Grade.WARN, "you may do all of it"),
        (False, True, Grade.WARN, "you may not: patch pods"),
    ],
)
def test_a_right_that_is_missing_is_named(allowed: bool, of_oneself: bool, result: Grade, words: str) -> None:  # noqa: FBT001
    it = judged("kube-system/ml-controller", {PODS: allowed}, of_oneself=of_oneself)
    assert (it.result, words in it.found) == (result, True)
