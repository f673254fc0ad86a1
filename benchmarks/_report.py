"""What the benchmarks share: their command line, timers, tables, and the file that a run writes."""

import argparse
import math
import os
import pathlib
import platform
import time


def parser(script, text):
    """The command line of a benchmark, described by its docstring: where the report goes."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    out = pathlib.Path(script).with_suffix(".md")
    made.add_argument("--out", type=pathlib.Path, default=out, help="default: %(default)s")
    return made


def machine():
    """Processor and how busy it was when the run started: a sentence."""
    listing = pathlib.Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    load = f"{os.getloadavg()[0]:.0f}"
    return f"{os.cpu_count()} cores of {model}; {load} processes wanted to run at the start."


def timed(run):
    """What one call returns, and how many seconds it takes."""
    start = time.perf_counter()
    return run(), time.perf_counter() - start


def seconds(run):
    """How long one call takes."""
    return timed(run)[1]


def processor_seconds(run):
    """How long one call keeps the processor, whatever else the machine does."""
    start = time.process_time()
    run()
    return time.process_time() - start


def fastest(candidates, repeats=3):
    """Seconds of the fastest run of each, by name, taking turns."""
    best = dict.fromkeys(candidates, math.inf)
    for _ in range(repeats):
        for name, run in candidates.items():
            best[name] = min(best[name], seconds(run))
    return best


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def write(out, heading, sections, *arguments):
    """Run the functions by title, each described by its docstring, and write what they return, one by one."""
    text = f"{heading}\n{machine()}\n"
    for title, section in sections.items():
        text += f"\n## {title}\n\n{' '.join(section.__doc__.split())}\n\n{section(*arguments)}"
        print(title, flush=True)
        out.write_text(text, encoding="utf-8")
    print(text)
