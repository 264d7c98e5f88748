"""Training speed on several GPUs of one machine, each with four images of four pairs a step.

Layers are compiled, unless they are laid in parts on the cards.

accelerate launch --num_processes 2 benchmarks/scaling.py           (about 2 minutes)
accelerate launch --num_processes 2 benchmarks/scaling.py --size 34b --shard
accelerate launch --num_processes 2 benchmarks/scaling.py --weights fp8      (or nf4; one GPU as well)
torchrun --standalone --nproc_per_node 2 benchmarks/scaling.py --size tiny
"""

import argparse

from accelerate.utils import gather_object
from llava_shapes import build_bundle, make_examples
from measure import Training, alternate
from results import write_result

from seednb.core.devices import default_device, process_state
from seednb.core.params import ModelParams
from seednb.model.lora import add_adapter


def main(size: str = "7b", shard: bool = False, weights: str = "bfloat16") -> None:
    """Time steps whose examples all processes share; the first process writes the figure.

    With `shard` each card holds a part of every layer, keeps one image a micro-batch and recomputes.
    """
    device, processes = default_device(), process_state()
    bundle = build_bundle(device, size, weights)
    model = add_adapter(bundle.model, ModelParams(), seed=0)
    n = processes.num_processes
    training = Training(
        model,
        bundle,
        make_examples(bundle, n if shard else 4 * n, 4),
        gradient_checkpointing="always" if shard else "never",
        shard_layers=shard,
        compile_layers=device.type == "cuda" and not shard,
    )
    precise = weights == "bfloat16"
    name = (
        f"{size}{'' if precise else f' in {weights}'}, {n} processes{', sharded' if shard else ''}"
    )
    rows = alternate({name: training}, "samples", device)
    if device.type == "cuda":
        rows[0]["peak_gib_of_each"] = gather_object([rows[0]["peak_gib"]])
    if processes.is_main_process:
        print(rows)
        if size != "tiny":
            file = (
                f"scaling-{size}-{'' if precise else f'{weights}-'}{n}{'-sharded' if shard else ''}"
            )
            print(write_result(file, rows, {"samples_per_s": rows[0]["samples_per_s"]}))
    processes.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="7b", choices=("tiny", "7b", "13b", "34b"))
    parser.add_argument("--shard", action="store_true")
    parser.add_argument("--weights", default="bfloat16", choices=("bfloat16", "fp8", "nf4"))
    main(**vars(parser.parse_args()))
