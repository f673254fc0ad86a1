"""Couplings for flow matching: what pairs of noise and code cost, and what a flow learns, beside torchcfm.

Prints the tables and writes them to benchmarks/couplings.md. All times are of the processor and one thread, the
couplings taking turns.

    python benchmarks/couplings.py           # five minutes
    python benchmarks/couplings.py --quick   # a look
"""

import math
import time

import numpy as np
import torch
from _report import parser, table, write

import ot_latent as otl
from ot_latent import datasets, scores
from ot_latent.models import checkpoints
from ot_latent.paper import flow_matching

try:
    from torchcfm.optimal_transport import OTPlanSampler
except ImportError:  # its rows are left out
    OTPlanSampler = None

REPEATS = 3


def couplings(codes, tolerance=0.05):
    """Functions (n, generator) -> noise, codes by name, and the processor seconds of the semi-discrete fit."""
    n, d = codes.shape

    def independent(size, rng):
        return torch.randn(size, d, generator=rng), codes[torch.randint(n, (size,), generator=rng)]

    def minibatch(size, rng):
        z, y = independent(size, rng)
        return z, y[torch.as_tensor(otl.solve_kantorovich(z, y).matching)]

    started = time.process_time()
    ot = otl.SemiDiscreteOT(tolerance=tolerance).fit(codes)
    took = time.process_time() - started

    def semidiscrete(size, rng):
        z, index = ot.pair(size, rng)
        return z, codes[index]

    made = {"independent": independent, "minibatch": minibatch}
    if OTPlanSampler:
        sampler = OTPlanSampler("exact")
        made["minibatch, torchcfm"] = lambda size, rng: sampler.sample_plan(*independent(size, rng))
    return {**made, "semi-discrete": semidiscrete}, took


def of_batches(run):
    """Milliseconds of a batch of pairs of noise with normal codes, the least of three. *Batches to win*: how many
    batches of torchcfm's pairs (or ours, without it) cost as much as the fit and the same number of semi-discrete ones.
    A matching of 64 points is so small a problem that among many codes, or in many dimensions, it costs no more than
    64 looks for the highest plane; it is also the coarsest.
    """
    rows = []
    for n, d in run.problems:
        codes = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
        made, fit = couplings(codes, 0.1)
        for size in run.batches:
            rng, best = torch.Generator().manual_seed(1), dict.fromkeys(made, math.inf)
            for _ in range(REPEATS):
                for name, draw in made.items():
                    started = time.process_time()
                    draw(size, rng)
                    best[name] = min(best[name], time.process_time() - started)
            peer = best.get("minibatch, torchcfm", best["minibatch"])
            ours, gain = best["semi-discrete"], peer - best["semi-discrete"]
            cells = [f"{1e3 * least:.2f}" for least in best.values()]
            won = f"{fit / gain:,.0f}" if gain > 0 else "never"
            rows.append([f"{n:,}", d, size, *cells, f"{peer / ours:.1f}", f"{fit:.1f}", won])
    names = list(made)
    header = ["codes", "d", "batch", *names, "torchcfm / semi-discrete", "seconds of the fit", "batches to win"]
    return table(header, rows)


def of_flows(run):
    """The small network of notebook 18 learns from codes of digits. *Seconds* are of the processor, with the fit; W2
    to codes of test digits over that of training codes, spread and coverage over theirs, after one step of Euler's.
    """
    ae = checkpoints.load("mnist-ae")
    train, test = (datasets.mnist(part)[0] for part in ("train", "test"))
    codes, held_out = scores.encode(ae, train[: run.codes]), scores.encode(ae, test[-run.held_out :])
    shift, unit = codes.mean(0), codes.std()
    made, fit = couplings(torch.from_numpy((codes - shift) / unit).float())
    noise = torch.randn(run.held_out, 10, generator=torch.Generator().manual_seed(0))
    flow_matching.train(made["independent"], 10, 5, 0)  # what torch prepares at its first steps
    found = {name: flow_matching.train(draw, 10, run.steps, 0) for name, draw in made.items()}
    clouds = {name: one.flow.path(noise, 1)[-1].numpy() * unit + shift for name, one in found.items()}
    report = scores.transport_report(clouds, codes, held_out, block=run.held_out // 4)
    rows, first = [], found["independent"].seconds
    for name, one in found.items():
        seconds = one.seconds + fit * (name == "semi-discrete")
        bend = flow_matching.curvature(one.flow.path(noise, 32))
        judged = [f"{getattr(report[name], kind).value:.2f}" for kind in ("ratio", "spread", "coverage")]
        rows.append([name, f"{seconds:.1f}", f"{seconds / first:.1f}", f"{one.loss:.2f}", f"{bend:.3f}", *judged])
    header = ["coupling", "seconds", "seconds / independent", "loss", "curvature", "W2 / floor", "spread", "coverage"]
    return table(header, rows)


def of_pixels(run):
    """Images themselves as codes, to a tolerance of 0.05: the certificate, and the error on fifty fresh noise points
    a code.
    """
    rows = []
    for name, load in {"MNIST": datasets.mnist, "CIFAR-10": datasets.cifar10}.items():
        codes = load("train")[0][: run.pixels].reshape(run.pixels, -1) / np.float32(255)
        started = time.process_time()
        ot = otl.SemiDiscreteOT(tolerance=0.05).fit(codes)
        took, fresh = time.process_time() - started, ot.mass_error(50 * run.pixels, 1)
        told = [f"{error.value:.4f} ({error.low:.4f} to {error.high:.4f})" for error in (ot.error, fresh)]
        verdict = "yes" if ot.converged else "no"
        rows.append([name, run.pixels, codes.shape[1], f"{took:.0f}", ot.steps, verdict, *told])
    header = ["images", "N", "d", "seconds", "steps", "certified", "mass error, certificate", "on fresh noise"]
    return table(header, rows)


def main():
    command = parser(__file__, __doc__)
    command.add_argument("--quick", action="store_true", help="a look: small problems, few steps")
    run = command.parse_args()
    run.problems = [(300, 2)] if run.quick else [(3_000, 2), (3_000, 10), (20_000, 10), (3_000, 128)]
    run.batches = (32, 64) if run.quick else (64, 256, 1024)
    run.codes, run.held_out, run.steps = (300, 200, 20) if run.quick else (3_000, 2_000, 600)
    run.pixels = 200 if run.quick else 2_000
    torch.set_num_threads(1)
    np.random.seed(0)  # torchcfm draws from numpy's global generator
    without = "" if OTPlanSampler else " Without torchcfm, which was not installed."
    text = f"# Couplings for flow matching\n\nMade by `python benchmarks/couplings.py`.{without}"
    write(run.out, text, {"A batch of pairs": of_batches, "A flow": of_flows, "Pixels": of_pixels}, run)


if __name__ == "__main__":
    main()
