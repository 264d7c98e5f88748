"""Products in 8-bit floats against the CPU's emulation, and their speed against 16 bits.

python benchmarks/check_fp8.py             (a GPU of compute capability 8.9; half a minute)
python benchmarks/check_fp8.py --tiny      (any machine, seconds; writes nothing)

The layer of the package forwards and backwards, with 8,192 tokens, in the widths of LLaVA-1.5-7B. The
emulation multiplies the same rounded numbers in float32 and differs in the order of sums alone; exits
with status 1 where the two are further apart.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from measure import significant
from results import write_result
from torch import Tensor, nn

from seednb.model.weights.fp8 import Fp8Linear

WIDTHS = ((4096, 4096), (4096, 11008), (11008, 4096))  # in, out
LARGEST = 0.01  # of the product's norm, apart from the emulation
N_TIMED, REPEATS = 7, 10


def main(tiny: bool) -> int:
    """Compare and time every width; write `results/fp8_products.json`."""
    device = torch.device("cpu" if tiny else "cuda")
    rows = []
    for width in ((64, 48),) if tiny else WIDTHS:
        rows += [measured(*width, 32 if tiny else 8192, device, keeps) for keeps in (False, True)]
        print(rows[-2], rows[-1], sep="\n", flush=True)
    if not tiny:
        headline = {f"{row['name']}: times bfloat16": row["times_bfloat16"] for row in rows}
        print(write_result("fp8_products", rows, headline))
    return int(any(row["apart_from_emulation"] > LARGEST for row in rows))


def measured(
    n_in: int, n_out: int, n_tokens: int, device: torch.device, keeps_transposed: bool
) -> dict[str, Any]:
    """Error and time of one width, forwards and backwards together."""
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(n_in, n_out, bias=False, dtype=torch.bfloat16).requires_grad_(False)
    linear.weight.data.normal_(0, 0.02, generator=generator)
    x = torch.randn(n_tokens, n_in, generator=generator).to(device, torch.bfloat16)
    gradient = torch.randn(n_tokens, n_out, generator=generator).to(device, torch.bfloat16)
    plain = linear.to(device)
    eight = Fp8Linear.of(linear, device, False, keeps_transposed)
    host = Fp8Linear.of(linear, torch.device("cpu"), False, keeps_transposed)
    some = slice(0, 256)  # tokens are quantised one by one, so some stand for all
    ours = both(eight, x[some], gradient[some])
    emulated = both(host, x[some].cpu(), gradient[some].cpu())
    exact = both(plain.float(), x[some].float(), gradient[some].float())
    plain.bfloat16()
    seconds = {}
    for name, layer in (("bfloat16", plain), ("fp8", eight)):
        # `mul` stands for the norm before: what is fused into it costs nothing more.
        run = (
            torch.compile(lambda x, layer=layer: layer(x * 1.001))
            if device.type == "cuda"
            else layer
        )
        seconds[name] = median(lambda run=run: both(run, x, gradient), device)
    tflop = 4 * n_tokens * n_in * n_out / 1e12
    return {
        "name": f"{n_in} to {n_out}{', second copy' if keeps_transposed else ''}",
        "bfloat16_tflops": significant(tflop / seconds["bfloat16"]),
        "fp8_tflops": significant(tflop / seconds["fp8"]),
        "times_bfloat16": round(seconds["bfloat16"] / seconds["fp8"], 2),
        "error_of_product": significant(apart(ours[0], exact[0])),
        "error_of_gradient": significant(apart(ours[1], exact[1])),
        "apart_from_emulation": significant(max(map(apart, ours, emulated))),
    }


def both(layer: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """(product, gradient of the input)."""
    x = x.detach().requires_grad_()
    y = layer(x)
    y.backward(gradient)
    assert x.grad is not None
    return y.detach(), x.grad


def apart(one: Tensor, other: Tensor) -> float:
    """Norm of the difference, by the norm of the second."""
    one, other = one.cpu().float(), other.cpu().float()
    return float((one - other).norm() / other.norm())


def median(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call, of several timings of several calls."""
    times = []
    for number in range(N_TIMED + 2):
        started = time.perf_counter()
        for _ in range(REPEATS):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if number > 1:
            times.append((time.perf_counter() - started) / REPEATS)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main("--tiny" in sys.argv))
