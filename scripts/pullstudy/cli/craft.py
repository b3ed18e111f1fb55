"""`pullstudy craft`: mock images of exact size, to a registry, a folder or a Docker Engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pullstudy.errors import ConfigError

_MIB = 1 << 20

_Study = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="What to craft.")]
_Plan = Annotated[
    bool, typer.Option("--plan", help="Print what would be made and skipped; make nothing.")
]
_Push = Annotated[bool, typer.Option("--push", help="Send the images to the uri of the study.")]
_Output = Annotated[
    str | None,
    typer.Option(metavar="oci:DIR|docker", help="Write an OCI layout, or load into Docker."),
]
_Uri = Annotated[str | None, typer.Option(help="Repository to push to, instead of the study's.")]
_Table = Annotated[
    Path | None, typer.Option(help="Write the images (or the plan) to this Parquet file.")
]
_Tables = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Folder of tables that `from` may name, such as results/STUDY/queries.",
    ),
]
_BeyondLimits = Annotated[
    bool,
    typer.Option("--beyond-limits", help="Make also more than 125 layers and layers above 10 GB."),
]
_PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="Talk to the registry without encryption.")
]
_LayersAtOnce = Annotated[int, typer.Option(min=1, help="Uploads side by side.")]
_ChunkMib = Annotated[
    int, typer.Option(min=0, help="MiB sent in one request; 0: a layer in one, as Docker does.")
]
_Journal = Annotated[
    Path | None,
    typer.Option(help="File that remembers broken pushes; by default in your cache folder."),
]


def craft(
    study: _Study,
    plan: _Plan = False,
    push: _Push = False,
    output: _Output = None,
    uri: _Uri = None,
    table: _Table = None,
    tables: _Tables = None,
    beyond_limits: _BeyondLimits = False,
    plain_http: _PlainHttp = False,
    layers_at_once: _LayersAtOnce = 5,
    chunk_mib: _ChunkMib = 64,
    journal: _Journal = None,
) -> None:
    """Craft mock images of exact size, layer count and compressibility.

    Choose one of --plan, --push and --output; the README shows a study file.
    Images that are there already are kept; a push that was stopped goes on when it is run again.
    """
    if sum((plan, push, output is not None)) != 1:
        raise ConfigError("choose one of --plan, --push and --output oci:DIR|docker")
    # Loaded here so that `pullstudy --help` need not wait for them.
    from pullstudy.cli.craft_display import CraftDisplay, print_plan
    from pullstudy.craft.run import CraftSettings, craft_study, plan_file
    from pullstudy.craft.study import Surroundings
    from pullstudy.craft.tabulate import write_planned

    around = Surroundings(uri, {path.name: path for path in tables.iterdir()} if tables else {})
    if plan:
        laid_out, _ = plan_file(study, around, beyond_limits=beyond_limits, plain_http=plain_http)
        print_plan(laid_out)
        if table:
            write_planned(table, [laid_out])
        return
    settings = CraftSettings(
        *("push" if push else output or "", around, beyond_limits, plain_http),
        *(chunk_mib * _MIB, layers_at_once, journal),
    )
    with CraftDisplay() as display:
        craft_study(study, settings, table, display)
