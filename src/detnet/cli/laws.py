"""`detnet laws`: the laws there are, and what can be set of each."""

from __future__ import annotations

from detnet.cli.options import FormatOption
from detnet.cli.output import Format, show
from detnet.control.laws import LAWS, LIDS
from detnet.control.laws.text import Parameter, parameters


def laws(*, form: FormatOption = Format.TABLE) -> None:
    """List the control laws and their parameters, as --law takes them: --law step:down=50M,up=10M."""
    nothing = [Parameter("", "", "nothing to set")]
    rows = [(name, *one) for name, kind in LAWS.items() for one in parameters(kind.params) or nothing]
    show("detnet/laws/1", ("law", *Parameter._fields), rows, form)
    if form is Format.TABLE:
        print("As in --law step:down=50M,up=10M. Shares may be written in percent: 10%.")
        for lid in LIDS:
            print(f"{lid} also goes over another law, with its own parameters first: {lid}:link_share=10%+step:up=5M.")
