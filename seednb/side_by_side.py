"""The base model and an adapter caption the same pictures."""

from pathlib import Path

from seednb.evaluate import caption_pictures
from seednb.experiment import Experiment

N_SHOWN = 3  # pictures of the validation set, if none is named


def captions_side_by_side(
    lab: Experiment, adapter: Path, image: Path | None
) -> list[tuple[str, dict[str, str]]]:
    """File name and captions of the base model and of an adapter, for one picture or three."""
    chosen, folder = lab.data.to_caption[:N_SHOWN], lab.data.val.image_dir
    if image:
        chosen, folder = [{"image_id": 0, "file_name": image.name}], image.parent
    texts = {}
    for name, bundle in (("SEED", lab.adapted(adapter)), ("base", lab.bundle())):
        reader = bundle.pictures(folder, lab.params.data.image_fit)
        records = caption_pictures(bundle, chosen, reader, lab.params.evaluation, lab.template)
        texts[name] = [record["caption"] for record in records]
    return [
        (row["file_name"], {name: texts[name][number] for name in ("base", "SEED")})
        for number, row in enumerate(chosen)
    ]
