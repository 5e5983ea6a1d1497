"""The model card: what an exported model was trained on, what it scored, what it is for, and how to feed it."""

from pathlib import Path

from dacl.model_export.network import SIDES
from dacl.model_export.onnx_file import INPUT, OUTPUT
from dacl.model_export.scores import evaluations, score_lines
from dacl.prediction.model import Model
from dacl.protocol import provenance

_ACDC = (
    "ACDC is CC BY-NC-SA 4.0: no commercial use. Whether weights inherit that is not settled: treat this model as "
    "bound by it, and cite O. Bernard et al., IEEE TMI 37(11), 2018, doi 10.1109/TMI.2018.2837502."
)
LICENCES = {
    "acdc": _ACDC,
    "ssl4mis": _ACDC,
    "synapse": "The Synapse abdominal scans (BTCV) are given out at synapse.org after registration: the terms that "
    "were accepted there apply to what is made of them.",
}
SYNTHETIC = "The dataset is synthetic: no patient's data."
OTHER_DATA = "dacl does not know the terms of this data: those under which it was given out apply."
RULES = {
    "minmax": "per volume and channel, [minimum, maximum] to [0, 1]",
    "percentile": "per volume and channel, clipped at the 0.5th and 99.5th percentile (minimum and maximum where these "
    "are equal), then to [0, 1]",
    "zscore": "per volume and channel, mean 0 and standard deviation 1",
}


def model_card(model: Model, file: Path, checked: str, largest: float) -> str:
    """The card as Markdown; it names no patient and no folder.

    Args:
        model: what was exported.
        file: the exported file.
        checked: what ran it for the check.
        largest: the largest difference of a probability that the check found.
    """
    about = model.about
    sections = {
        "The file": _file(model, file, checked, largest),
        "Data": _data(model),
        "Training": [
            f"- method {about['method']}, preset {about['preset']}, seed {about['seed']}, {about['dims']}D",
            f"- step {about['step']} of {about['steps_planned']}, checkpoint rule {about['checkpoint_rule']}",
            f"- configuration {about['config_hash'][:12]}, checkpoint sha256 {_source(model)[:12]}",
            "- scans were mirrored in training"
            if model.config.image.mirror
            else "- scans were not mirrored in training: average no mirror images (TTA)",
            *(f"- {note}" for note in model.notes),
        ],
        "Scores": score_lines(model),
        "Use and limits": _limits(model),
        "How to feed it": _preprocessing(model),
        "How to run it": _usage(file),
        "Licence of the data": [_licence(model)],
        "Software": _software(),
    }
    title = f"# Model card: {about['run']}, network {model.network}"
    warning = "**For research. Not a medical device: not for diagnosis, treatment or any decision about a patient.**"
    parts = [
        title,
        warning,
        *("\n".join([f"## {name}", "", *body]) for name, body in sections.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _source(model: Model) -> str:
    return str(model.about.get("source", model.about)["sha256"])


def _patients(model: Model) -> str:
    count = len(model.meta.labeled_patients)
    return f"{count} patient{'' if count == 1 else 's'}"


def _licence(model: Model) -> str:
    """What is known of a dataset of just this name: synapse-lung may be anybody's."""
    if model.meta.synthetic:
        return SYNTHETIC
    return LICENCES.get(model.meta.dataset_name, OTHER_DATA)


def _file(model: Model, file: Path, checked: str, largest: float) -> list[str]:
    axes = "D, H, W" if model.config.image.dims == 3 else "H, W"
    answer = "the mean of the softmaxes of all networks" if model.network == "mean" else "softmax"
    return [
        f"- `{file.name}`: network {model.network} of {model.about['run']}",
        f"- input `{INPUT}`: float32 (B, {model.meta.channels}, {axes}), {model.channels}; sides in multiples of "
        f"{SIDES}",
        f"- output `{OUTPUT}`: float32 (B, {len(model.meta.class_names)}, {axes}), class probabilities ({answer})",
        f"- classes: {', '.join(f'{i} {name}' for i, name in enumerate(model.meta.class_names))}",
        f"- checked against PyTorch on noise with {checked}: probabilities differ by {largest:.1g} at most",
    ]


def _data(model: Model) -> list[str]:
    meta = model.meta
    spacing = "not recorded"
    if meta.spacing_low_mm and meta.spacing_high_mm:
        spacing = " x ".join(
            f"{low:g}" if low == high else f"{low:g}-{high:g}"
            for low, high in zip(meta.spacing_low_mm, meta.spacing_high_mm, strict=True)
        )
        spacing += " mm (z, y, x)"
    return [
        f"- {meta.dataset_name}, fingerprint {meta.dataset_fingerprint[:12]}"
        + (", **synthetic**: no scanner was involved" if meta.synthetic else ""),
        f"- modality {meta.modality or 'not recorded'}; spacing of the training scans: {spacing}",
        f"- split {meta.split_name} ({meta.split_hash[:12]}); labels of {_patients(model)}",
    ]


def _limits(model: Model) -> list[str]:
    meta = model.meta
    judged = {summary["protocol"]["evaluated_on"] for summary in evaluations(model)}
    lines = [
        f"- Made to study learning from few labels: the masks of {_patients(model)} of "
        f"{meta.dataset_name} taught it.",
        "- Not tested: other scanners, hospitals, protocols, diseases and ages than those of that dataset; scans with "
        "artefacts or implants; spacings outside those above; TTA, ensembles.",
        "- One training with one seed: another seed gives another model, and other scores.",
        "- Its probabilities are not calibrated.",
    ]
    if "test" not in judged:
        lines.append("- Not evaluated on test patients.")
    if model.about["checkpoint_rule"] == "best":
        lines.append("- Chosen by its score on the validation patients: scores on them flatter it.")
    return lines


def _preprocessing(model: Model) -> list[str]:
    image, rule = model.config.image, model.meta.intensity
    window = rule.removeprefix("hu:").replace(":", ", ")
    says = RULES.get(rule, f"clip Hounsfield units to [{window}], then to [0, 1]")
    steps = [
        "Turn the volume to LPS: column 0 is the patient's right, row 0 anterior, slice 0 inferior."
        if model.turns
        else "Take the volume as it is stored: the orientation of the training volumes is unknown.",
        f"Intensity rule `{rule}`: {says}.",
    ]
    if image.dims == 2 and image.geometry == "resize":
        side = image.patch_size
        steps.append(
            f"Each slice to {side}x{side}, nearest neighbour with the corner pixels on each other "
            "(scipy.ndimage.zoom, order 0); the mask comes back in the same way."
        )
    elif image.dims == 2:
        steps.append(
            f"Each slice to {image.spacing_mm:g} mm in plane, bilinearly with antialiasing, then padded with zeros "
            f"below and right to multiples of {SIDES}; the probabilities are cut and come back bilinearly."
        )
    else:
        grid = (
            f"the shape {image.volume_shape} trilinearly"
            if image.geometry == "resize"
            else f"{image.slice_spacing_mm:g} x {image.spacing_mm:g} x {image.spacing_mm:g} mm (z, y, x) linearly "
            "with antialiasing"
        )
        steps += [
            f"The volume to {grid}.",
            f"Windows of {image.patch_depth}x{image.patch_size}x{image.patch_size} (D, H, W) that overlap by "
            f"{image.window_overlap:g} of their sides, weighted by a Gaussian around their centres (sigma an eighth of "
            "the side); the probabilities come back trilinearly.",
        ]
    steps.append("The mask is the class of the highest probability.")
    return [f"{n}. {step}" for n, step in enumerate(steps, start=1)]


def _usage(file: Path) -> list[str]:
    if file.suffix == ".onnx":
        code = [
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("{file.name}")',
            f'probabilities = session.run(None, {{"{INPUT}": image}})[0]    # image: float32, fed as above',
        ]
        after = "The file's metadata hold classes, intensity rule and geometry."
    else:
        code = [
            "from dacl import Predictor",
            "",
            f'predictor = Predictor.load("{file.name}")',
            'predictor.predict("scan.nii.gz").save("masks/scan.nii.gz")',
        ]
        after = "`dacl predict` takes the file, too; both do all that is said above."
    return ["```python", *code, "```", "", after]


def _software() -> list[str]:
    made = provenance()
    packages = ", ".join(f"{name} {version}" for name, version in made["packages"].items())
    git = made["git"]
    state = f", commit {git['commit'][:12]}{' (modified)' * git['modified']}" if git else ""
    return [f"dacl {made['dacl']}{state}, Python {made['python']}, {packages}"]
