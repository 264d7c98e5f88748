"""Damaged checkpoints and adapters, and texts that do not fit a model."""

import json
import shutil
from functools import cache, partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from seednb.core.params import ModelParams
from seednb.data.instruct import Pair
from seednb.method.beta import BetaSelector
from seednb.model.generation import generate
from seednb.model.loading import load_bundle
from seednb.model.lora import add_adapter, load_adapter
from seednb.training.checkpoint import Checkpoint
from seednb.training.examples import Examples

from .case import ERROR, WORKS, Case

POCKET = Path(__file__).parents[2] / "seednb/assets/pocket-llava"
ADAPTER = ModelParams(lora_r=2)
WEIGHTS, ADAPTER_WEIGHTS = "model.safetensors", "adapter_model.safetensors"
CPU = torch.device("cpu")
REMOTE = 'from pathlib import Path\nPath(__file__).with_name("ran").touch()\n'


class Runs:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def load(source):
    """A checkpoint folder; whatever happens, no code in it may have run."""
    try:
        return load_bundle(str(source), ModelParams(), CPU) and None
    finally:
        assert not list(Path(source).rglob("ran")), "a checkpoint's code was run"


@cache
def pocket():
    """The shipped model."""
    return load_bundle(str(POCKET), ModelParams(), CPU)


def fresh():
    """A model that an adapter may be put on."""
    return load_bundle(str(POCKET), ModelParams(), CPU).model


def edited(change):
    """Edit a checkpoint's tensors."""

    def edit(folder, name=WEIGHTS):
        tensors = load_file(folder / name)
        change(tensors)
        save_file(tensors, folder / name, {"format": "pt"})

    return edit


def write(name, content):
    """Write another file over one of the folder's."""
    return lambda folder, *_: (folder / name).write_bytes(content)


def configure(name, **values):
    """Change a JSON file of the folder."""

    def edit(folder, *_):
        config = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps(config))

    return edit


def cut(name):
    """Keep the first half of a file."""
    return lambda folder, *_: write(name, (folder / name).read_bytes()[: (folder / name).stat().st_size // 2])(folder)  # fmt: skip


def pickled(name, instead_of):
    """Put a pickle in the place of the tensors."""

    def edit(folder, *_):
        (folder / instead_of).unlink()
        torch.save({"weight": Runs()}, folder / name)

    return edit


def remote(folder):
    """A checkpoint that brings code of its own."""
    (folder / "modeling.py").write_text(REMOTE)
    configure("config.json", auto_map={"AutoModelForImageTextToText": "modeling.Model"})(folder)


def checkpoint(name, change, expected=ERROR, says=""):
    """A copy of the shipped checkpoint, changed."""

    def make(folder):
        shutil.copytree(POCKET, folder / "model")
        change(folder / "model")
        return folder / "model"

    return Case(f"checkpoint: {name}", make, load, expected, says)


def saved_adapter(folder):
    """A well-made adapter of rank 2."""
    add_adapter(fresh(), ADAPTER, 0).save_pretrained(str(folder))


def adapter(name, change, expected=ERROR, says=""):
    """An adapter, changed."""

    def make(folder):
        saved_adapter(folder / "adapter")
        change(folder / "adapter", ADAPTER_WEIGHTS)
        return folder / "adapter"

    return Case(f"adapter: {name}", make, lambda path: load_adapter(fresh(), path) and None, expected, says)  # fmt: skip


def run_state(rank=2):
    """What a training run puts into its checkpoint."""
    model = add_adapter(fresh(), ModelParams(lora_r=rank), 0)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)
    return model, optimiser, schedule, BetaSelector()


def run(name, change, says, rank=2):
    """The checkpoint of a training run, changed, or of another adapter."""

    def make(folder):
        Checkpoint(folder, *run_state(rank)).save(3, [{"nan_count": 0}])
        change(folder)
        return folder

    return Case(f"run: {name}", make, lambda folder: Checkpoint(folder, *run_state()).restore() and None, ERROR, says)  # fmt: skip


def prompt(name, question, says):
    """A question to the shipped model."""

    def ask(text):
        generate(pocket(), text, torch.zeros(1, 3, 96, 96), 4)

    return Case(f"prompt: {name}", lambda _: question, ask, ERROR if says else WORKS, says)


def training(name, question, answer, says):
    """A pair to train on."""

    def encode(folder):
        pairs = [Pair("a.jpg", "What?", "A cup."), Pair("b.jpg", question, answer)]
        Examples.of(pairs, pocket(), pocket().image_reader(folder, "pad"))

    return Case(f"pair: {name}", lambda folder: folder, encode, ERROR if says else WORKS, says)


def drop(tensors, part="q_proj"):
    """Take one tensor away."""
    del tensors[min(key for key in tensors if part in key)]


def put(tensors, name="foreign.weight"):
    """Add a tensor of another model."""
    tensors[name] = torch.zeros(2)


def narrow(tensors):
    """Cut a column off one tensor."""
    key = min(key for key in tensors if "q_proj" in key)
    tensors[key] = tensors[key][:, 1:].contiguous()


NOT_LOADED, NOT_FITTING = "cannot load the model", "does not fit this model"
CASES = [
    checkpoint("as it should be", lambda folder: None, WORKS),
    checkpoint("no config.json", lambda folder: (folder / "config.json").unlink(), says="holds no config.json"),
    checkpoint("config.json is not JSON", write("config.json", b"{"), says=NOT_LOADED),
    checkpoint("config.json of a text model", write("config.json", b'{"model_type": "gpt2"}'), says=NOT_LOADED),
    checkpoint("config.json of an unknown kind", configure("config.json", model_type="x"), says=NOT_LOADED),
    checkpoint("code of its own", remote, WORKS),
    checkpoint("no weights", lambda folder: (folder / WEIGHTS).unlink(), says=NOT_LOADED),
    checkpoint("weights cut in the middle", cut(WEIGHTS), says=NOT_LOADED),
    checkpoint("a pickle beside no safetensors", pickled("pytorch_model.bin", WEIGHTS), says=NOT_LOADED),
    checkpoint("a pickle named safetensors", pickled(WEIGHTS, WEIGHTS), says=NOT_LOADED),
    checkpoint("a tensor is missing", edited(drop), says="lacks 1 tensors"),
    checkpoint("a tensor of another model", edited(put), WORKS),
    checkpoint("a tensor of another shape", edited(narrow), says=NOT_LOADED),
    checkpoint("tokenizer.json cut in the middle", cut("tokenizer.json"), says=NOT_LOADED),
    Case("checkpoint: a path that is not there", lambda folder: folder / "x", load, ERROR, "does not exist"),
    adapter("as it should be", lambda *_: None, WORKS),
    adapter("of another rank", configure("adapter_config.json", r=8), says=NOT_FITTING),
    adapter("a tensor is missing", edited(drop), says="0 tensors are foreign and 1 missing"),
    adapter("a tensor of another model", edited(partial(put, name="base_model.model.foreign.lora_A.weight")), says="1 tensors are foreign"),
    adapter("of other layers", configure("adapter_config.json", target_modules=["x_proj"]), says=NOT_FITTING),
    adapter("cut in the middle", cut(ADAPTER_WEIGHTS), says=NOT_FITTING),
    adapter("a pickle beside no safetensors", pickled("adapter_model.bin", ADAPTER_WEIGHTS), says="holds no adapter_model.safetensors"),
    adapter("a pickle named safetensors", pickled(ADAPTER_WEIGHTS, ADAPTER_WEIGHTS), says=NOT_FITTING),
    adapter("adapter_config.json is a list", write("adapter_config.json", b"[1]"), says=NOT_FITTING),
    adapter("adapter_config.json of an unknown kind", configure("adapter_config.json", peft_type="X"), says=NOT_FITTING),
    run("of another rank", lambda folder: None, "is damaged", rank=4),
    run("latest.json cut in the middle", cut("latest.json"), "latest.json is damaged"),
    run("latest.json is a list", write("latest.json", b"[]"), "is damaged"),
    run("its tensors are gone", lambda folder: next(folder.glob("*.safetensors")).unlink(), "is damaged"),
    run("its tensors cut in the middle", lambda folder: cut("step-00000003.safetensors")(folder), "is damaged"),
    prompt("as long as the context allows", "cup " * 400, ""),
    prompt("longer than the context", "cup " * 600, r"a text has \d+ tokens .* context 512"),
    prompt("1e5 characters", "cup " * 25_000, "the model's context 512"),
    prompt("with <image>", "What is <image>?", "contains <image>"),
    prompt("with braces and format fields", "{question} {0} %s {", ""),
    prompt("empty", "", ""),
    training("longer than the context", "What?", "cup " * 600, r"pair 1 \(b.jpg\): a text has \d+ tokens"),
    training("answer with <image>", "What?", "A <image>.", r"pair 1 \(b.jpg\): .*contains <image>"),
    training("answer without a token", "What?", " ", "has no tokens"),
    training("emoji, right-to-left text and control characters", "🦄 מה \u202e\x00", "\x1b[2J🦄", ""),
]  # fmt: skip
