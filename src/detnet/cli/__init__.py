"""The `detnet` command: one file a command, each of them thin.

Invariants: an error that a person can mend is told on standard error in one line, without a traceback (a missing feature of the
machine in two: what, and what to do), and by an exit code: 2 for bad input, 3 for a missing feature, 1 for anything else.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from cyclopts import App, CycloptsError

from detnet.errors import DetnetError, InputError

app = App(
    name="detnet",
    help="Keeps critical Kubernetes traffic on time: measures its jitter, and paces best-effort pods to keep it small.",
    version=lambda: version("detnet"),
)
app.command("detnet.cli.lab:app", name="lab")
app.command("detnet.cli.replay:replay")
app.command("detnet.cli.doctor:doctor")
app.command("detnet.cli.sim:app", name="sim")
app.command("detnet.cli.why:why")
app.command("detnet.cli.scenarios:app", name="scenarios")
app.command("detnet.cli.bench:app", name="bench")
app.command("detnet.cli.laws:laws")
app.command("detnet.cli.compare:compare")
app.command("detnet.cli.soak:soak")
app.command("detnet.cli.agent:agent")
app.command("detnet.cli.controller:controller")
app.command("detnet.cli.status:status")
app.command("detnet.cli.plan:plan")
app.command("detnet.cli.preflight:preflight")
app.command("detnet.cli.release:release")


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = app(exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except InputError as error:
        _fail(_one_line(str(error)), error.exit_code)
    except DetnetError as error:
        _fail(str(error), error.exit_code)
    except CycloptsError as error:
        _fail(f"{_one_line(' '.join(str(error).split()))}  (see `detnet --help`)", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read has seen enough
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(text: str) -> str:
    """What a person gave, such as the name of a file, breaks no line and moves no cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _fail(text: str, code: int) -> None:
    sys.stderr.write(f"detnet: {text}\n")
    sys.exit(code)
