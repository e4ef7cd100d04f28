"""What the monitoring pack asks a Prometheus: every query of its rules and dashboards, by where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
PACK = ROOT / "deploy" / "monitoring"
RULES = PACK / "rules" / "detnet.yaml"
TESTS = PACK / "tests" / "detnet.yaml"
VARIABLES = {"$__rate_interval": "10s", "$class": ".*", "$source": ".*", "$node": ".*"}


def rules() -> list[dict[str, Any]]:
    """Each rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """Each dashboard, by its file's name."""
    return {path.name: json.loads(path.read_text()) for path in sorted((PACK / "dashboards").glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query, by its place; what Grafana would put in place of variables is in place."""
    found = {f"rule {rule.get('record', rule.get('alert'))}": rule["expr"] for rule in rules()}
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                found[f"{name}: {panel['title']}, {target['refId']}"] = plain(target["expr"])
    return found


def plain(expr: str) -> str:
    """A dashboard's query as Grafana sends it."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    return expr
