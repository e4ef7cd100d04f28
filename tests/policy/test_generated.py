"""What is published is what the types say, and what the API server asks of a CRD."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from detnet.control.objective import Objective
from detnet.policy import crd, docs
from detnet.policy.rules import RULES
from detnet.policy.validate import Policy, check
from policy.policies import flow, policy

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TYPES = {"string": str, "integer": int, "array": list, "object": dict}


@pytest.mark.parametrize(
    ("path", "made"),
    [("deploy/chart/crds/qospolicies.yaml", crd.text), ("docs/qospolicy.md", docs.text)],
    ids=["crd", "reference"],
)
def test_what_is_published_was_made_from_these_types(path: str, made: Any) -> None:
    assert (ROOT / path).read_text() == made(), "run `make crds`"


def test_the_yaml_is_the_definition() -> None:
    assert yaml.safe_load(crd.text()) == crd.crd()


def version() -> dict[str, Any]:
    (only,) = crd.crd()["spec"]["versions"]
    assert isinstance(only, dict)
    return only


def nodes(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield place, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{place}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{place}[]")


NODES = dict(nodes(version()["schema"]["openAPIV3Schema"]))
KNOWN = {
    *(
        "type",
        "description",
        "format",
        "default",
        "enum",
        "minimum",
        "maximum",
        "maxLength",
        "maxItems",
        "maxProperties",
        "required",
    ),
    *("properties", "items", "additionalProperties"),
    *("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
}


@pytest.mark.parametrize("place", NODES)
def test_the_schema_is_structural(place: str) -> None:
    schema = NODES[place]
    assert schema.keys() <= KNOWN
    assert schema["type"] in TYPES
    assert not {"properties", "additionalProperties"} <= schema.keys()
    assert ("items" in schema) == (schema["type"] == "array")
    if schema["type"] == "object":
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys()
    if "default" in schema:
        assert isinstance(schema["default"], TYPES[schema["type"]])
        assert schema["default"] in schema.get("enum", [schema["default"]])
    if schema.get("x-kubernetes-list-type") == "map":
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"])


@pytest.mark.parametrize("place", [place for place in NODES if place.startswith((".spec", ".status"))])
def test_the_size_and_cost_of_an_object_are_bounded(place: str) -> None:
    schema = NODES[place]
    if schema["type"] == "array":
        assert schema["maxItems"] <= 32
    if "additionalProperties" in schema:
        assert schema["maxProperties"] <= 32
    if schema["type"] == "string":
        assert {"maxLength", "enum", "format"} & schema.keys()


@pytest.mark.parametrize("place", [place for place in NODES if place.startswith((".spec", ".status"))])
def test_every_field_is_explained(place: str) -> None:
    assert place.endswith("[]") or NODES[place]["description"].strip()


def test_every_rule_says_what_is_allowed_and_is_asked_for() -> None:
    asked = [rule for schema in NODES.values() for rule in schema.get("x-kubernetes-validations", ())]
    assert {rule["rule"] for rule in asked} == {rule.cel for rule in RULES}
    assert len({rule.message for rule in RULES}) == len(RULES)
    for rule in asked:
        assert rule["message"].startswith("use ")
        assert "\n" not in rule["message"]
        assert len(rule["message"]) <= 2048
    for place, schema in NODES.items():
        for rule in schema.get("x-kubernetes-validations", ()):
            assert "fieldPath" not in rule or rule["fieldPath"].removeprefix(".") in schema["properties"], place


def test_a_column_shows_a_field_that_there_is() -> None:
    for column in version()["additionalPrinterColumns"]:
        assert column["jsonPath"] == ".metadata.creationTimestamp" or column["jsonPath"] in NODES
    assert version()["subresources"] == {"status": {}}


def test_the_defaults_are_the_controllers_own() -> None:
    (only,) = policy({"critical": [flow()]}).critical
    assert only.objective == Objective()


def test_the_example_of_the_reference_can_be_used() -> None:
    assert isinstance(check(yaml.safe_load(docs.EXAMPLE)), Policy)


def test_the_reference_leaves_no_place_unfilled() -> None:
    page = docs.text()
    assert "{" not in "".join(page.split("```")[::2]).replace("`{}`", "")
    assert "|  |" not in page
