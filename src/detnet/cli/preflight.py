"""`detnet preflight`: whether a cluster is as detnet needs it, check by check, and what to do. Ends with 1 where one fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from detnet.cli.cluster import TIMEOUT_S, Context, Form, FormOption, Home, Kubeconfig, Table, access_of, document, show
from detnet.kube.client import connect
from detnet.plugin import preflight as checks
from detnet.plugin.check import Grade
from detnet.plugin.site import survey

if TYPE_CHECKING:
    from detnet.plugin.check import Check

SCHEMA = "detnet/preflight/1"
FAILED = 1


def preflight(
    *,
    home: Home = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    form: FormOption = Form.TABLE,
) -> int:
    """See whether a cluster is as detnet needs it: what was found, and what to do. Takes up to 15 s, to see the lease renewed."""

    async def run() -> list[Check]:
        async with connect(access_of(kubeconfig, context), timeout_s=TIMEOUT_S) as client:
            return await checks.preflight(await survey(client, home))

    found = asyncio.run(run())
    if form is Form.JSON:
        print(document(SCHEMA, {"checks": found}))
    else:
        counts = ", ".join(f"{sum(it.result is grade for it in found)} {grade}" for grade in Grade)
        todo = [f"{it.check}: {it.do}." for it in found if it.do]
        show(
            [Table("Preflight", ("check", "result", "found"), [(it.check, it.result, it.found) for it in found])],
            [*todo, "", counts],
        )
    return FAILED if checks.failed(found) else 0
