"""`dacl preprocess folder` and `nnunet`: the user's own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl.errors import DaclError
from dacl_cli.preprocess_options import (
    WORKERS,
    CheckOption,
    JsonOption,
    OutArgument,
    SkipBadOption,
    WorkersOption,
)
from dacl_cli.preprocess_view import prepare_and_show

if TYPE_CHECKING:
    from dacl.data.split_files import SplitFile

_PANEL = "What the files mean"
_SPLIT_PANEL = "Who trains, validates and tests"

NameOption = Annotated[
    str | None, typer.Option(help="What the dataset is called.", rich_help_panel=_PANEL)
]
PatientOption = Annotated[
    str,
    typer.Option(
        metavar="REGEX",
        help="Finds the patient in a case's name, as its first group: `(patient\\d+)`. Cases of one "
        "patient stay in one part of the split. [default: a case is a patient]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
OwnIntensityOption = Annotated[
    str | None,
    typer.Option(
        help="Rule applied on reading: `hu:LOW:HIGH`, `minmax`, `percentile`, `zscore`. "
        "[default: hu:-160:240 for CT, else percentile]",
        rich_help_panel=_PANEL,
    ),
]
OwnSplitOption = Annotated[
    str | None,
    typer.Option(
        help="`random:SEED`: 70/10/20 % of the patients with a mask. [default: random:0]",
        rich_help_panel=_SPLIT_PANEL,
    ),
]
KFoldOption = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        min=3,
        help="Cut the patients into K parts instead: part --fold validates, the next one tests.",
        rich_help_panel=_SPLIT_PANEL,
    ),
]
FoldOption = Annotated[
    int | None,
    typer.Option(
        metavar="I",
        min=0,
        help="Which fold, from 0; of --k-fold, or of nnU-Net's splits_final.json.",
        rich_help_panel=_SPLIT_PANEL,
    ),
]
SplitFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help='A split of your own: JSON {"train": [...], "val": [...], "test": [...]}, lines '
        "`train CASE`, or nnU-Net's splits_final.json.",
        rich_help_panel=_SPLIT_PANEL,
    ),
]


def folder(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of NIfTI images.")],
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="Folder of masks, for some or all of them.")
    ],
    out: OutArgument,
    classes: Annotated[
        str,
        typer.Option(
            metavar="CLASSES",
            help="Names by mask value: `liver,kidney` are 1 and 2; `liver=200,kidney=500+600` gives "
            "values, several to one class; `background=7` leaves a value out. "
            "[default: the values found, if they are 1 to K]",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = "",
    channels: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Names of the channels in CASE_0000, CASE_0001, ...",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = "",
    modality: Annotated[
        Literal["CT", "MR", "other"],
        typer.Option(help="Decides the intensity rule.", rich_help_panel=_PANEL),
    ] = "other",
    intensity: OwnIntensityOption = None,
    case_pattern: Annotated[
        str,
        typer.Option(
            metavar="REGEX",
            help="Finds the case in the names of an image and its mask, where they differ: `(\\d+)`.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = "",
    patient_pattern: PatientOption = "",
    name: NameOption = None,
    split: OwnSplitOption = None,
    k_fold: KFoldOption = None,
    fold: FoldOption = None,
    split_file: SplitFileOption = None,
    check: CheckOption = False,
    skip_bad: SkipBadOption = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare your own NIfTI images, of which some have a mask of the same name.

    Volumes keep their grid: resampling is a choice of training (`dacl train --set
    image.geometry=resample`), and predicted masks come back on the grid of the image.
    """
    from dacl.data.readers.folder import Folder

    reader = Folder(
        labels=labels,
        dataset=name or out.resolve().name,
        classes=classes,
        channels=tuple(part.strip() for part in channels.split(",")) if channels else (),
        modality=modality,
        case_pattern=case_pattern,
        patient_pattern=patient_pattern,
    )
    chosen = _chosen_split(split, k_fold, fold, split_file)
    root = None if check else out
    prepare_and_show(reader, images, root, chosen, intensity, skip_bad, workers, as_json)


def nnunet(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder with dataset.json and imagesTr.")
    ],
    out: OutArgument,
    classes: Annotated[
        str,
        typer.Option(
            metavar="CLASSES",
            help="Of dataset.json's classes only these: `liver,kidney`; several as one: "
            "`kidney=kidney_left+kidney_right`. [default: all]",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = "",
    intensity: OwnIntensityOption = None,
    patient_pattern: PatientOption = "",
    with_test_images: Annotated[
        bool,
        typer.Option(
            "--with-test-images",
            help="Use imagesTs as unlabeled images.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    name: NameOption = None,
    split: OwnSplitOption = None,
    k_fold: KFoldOption = None,
    fold: FoldOption = None,
    split_file: SplitFileOption = None,
    check: CheckOption = False,
    skip_bad: SkipBadOption = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare a dataset in nnU-Net's raw layout; images without a mask are unlabeled.

    Volumes keep their grid: resampling is a choice of training (`dacl train --set
    image.geometry=resample`), and predicted masks come back on the grid of the image.
    """
    from dacl.data.readers.nnunet import Nnunet

    reader = Nnunet(
        classes=classes,
        patient_pattern=patient_pattern,
        test_images=with_test_images,
        dataset=name or "",
    )
    chosen = _chosen_split(split, k_fold, fold, split_file)
    root = None if check else out
    prepare_and_show(reader, dataset, root, chosen, intensity, skip_bad, workers, as_json)


def _chosen_split(
    split: str | None, k_fold: int | None, fold: int | None, split_file: Path | None
) -> str | SplitFile | None:
    from dacl.data.split_files import SplitFile

    ways = {"--split": split, "--k-fold": k_fold, "--split-file": split_file}
    given = [option for option, value in ways.items() if value is not None]
    if len(given) > 1:
        raise DaclError(f"{' and '.join(given)} are given", "choose one of them")
    if split_file is not None:
        return SplitFile(split_file, fold)
    if k_fold is not None:
        return f"kfold:{k_fold}:{fold or 0}"
    if fold is not None:
        raise DaclError("--fold without --k-fold or --split-file", f"add --k-fold 5 --fold {fold}")
    return split
