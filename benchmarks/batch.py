"""Many notebooks: processes against dask workers, one against two, and what travels; on paper, a hundred workers.

Each notebook is the same: it computes for some seconds in a kernel of one thread. Writes benchmarks/batch.md.

    python benchmarks/batch.py                        # minutes on two idle cores
    python benchmarks/batch.py --notebooks 2 --work 1 # a look
"""

import json
import pickle
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from _report import parser, seconds, table, timed, write

from ot_latent.paper.batch import keys
from ot_latent.paper.batch.jobs import Job, Outcome
from ot_latent.paper.reproduce import reproduce

PARAMETERS = 'scale = "quick"\nseed = 0\ntrain = False\ndevice = "auto"\ndata_dir = None\nfigures_dir = "../figures"'
FOUND = {}


def cell(source, *tags):
    made = {"cell_type": "code", "id": f"cell-{len(source)}", "execution_count": None, "outputs": []}
    return made | {"metadata": {"tags": list(tags)}, "source": source}


def new_checkout(folder, count, work):
    """A checkout of so many notebooks, each of so many seconds of a core."""
    (folder / "notebooks").mkdir()
    source = f"import time\nend = time.process_time() + {work}\nwhile time.process_time() < end: pass"
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    cells = [cell(PARAMETERS, "parameters"), cell(source)]
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    for number in range(1, count + 1):
        path = folder / "notebooks" / f"{number:02d}_work.ipynb"
        path.write_text(json.dumps(notebook), encoding="utf-8")


def workers(arguments):
    """Seconds of all notebooks, start and end of the workers included, taking turns; and over that of one process."""
    with tempfile.TemporaryDirectory() as folder:
        new_checkout(root := Path(folder), arguments.notebooks, arguments.work)
        cases = [(where, jobs) for jobs in (1, 2) for where in (None, "local")]
        for _ in range(arguments.repeats):
            for case in cases:
                took = seconds(lambda: reproduce(root=root, cluster=case[0], jobs=case[1], force=True))  # noqa: B023
                FOUND[case] = min(took, FOUND.get(case, took))
        FOUND["nothing to do"] = seconds(lambda: reproduce(root=root, jobs=2))
    rows = []
    for where, jobs in cases:
        took, alone = FOUND[where, jobs], FOUND[None, 1]
        rows.append(("dask" if where else "processes", jobs, f"{took:.1f}", f"{took / alone:.2f}"))
    rows.append(("nothing to do again", 2, f"{FOUND['nothing to do']:.1f}", ""))
    return table(["workers", "count", "seconds", "over one process"], rows)


def travels(arguments):
    """Bytes of a task and of what comes back, seconds of what the command does for a batch before the first task,
    and milliseconds of a task that does nothing, on one worker process. Notebooks, data, weights, figures and
    results are files that all workers see."""
    from distributed import Client, LocalCluster

    versions, before = timed(keys.versions)
    shared, hashing = timed(lambda: keys.inputs(versions, None))
    path = Path("/checkout/build/notebooks/01_midpoint_densities_2d.ipynb")
    given = dict.fromkeys(("scale", "seed", "train", "device", "data_dir", "figures_dir"), "/checkout/figures")
    job = Job(path.stem, path, path, path.parent, given, 1, 600, versions, shared)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        executor = client.get_executor(pure=False)
        executor.submit(replace, job).result()
        start = time.perf_counter()
        for future in [executor.submit(replace, job) for _ in range(300)]:
            future.result()
        FOUND["task"] = (time.perf_counter() - start) / 300
    rows = [
        ("a task, bytes", len(pickle.dumps(job))),
        ("its outcome, bytes", len(pickle.dumps(Outcome(job.name, 1.0)))),
        ("hash of library, weights and data, s", f"{before + hashing:.2f}"),
        ("a task that does nothing, ms", f"{1000 * FOUND['task']:.1f}"),
    ]
    return table(["what", "how much"], rows)


def on_paper(arguments):
    """Extrapolated, not measured: 2,000 runs of a minute each (a hundred notebooks over twenty seeds) on n workers
    with a core each take 2,000 / n minutes, and the scheduler's milliseconds a task come on top; the efficiency is the
    first over the sum. Left out are workers that share a disk or memory, and the last round, in which some have
    nothing to do."""
    rows = []
    for n in (1, 2, 10, 100):
        ideal, scheduler = 2000 / n, 2000 * FOUND["task"] / 60
        rows.append((n, f"{ideal:,.0f}", f"{scheduler:.2f}", f"{ideal / (ideal + scheduler):.3f}"))
    return table(["workers", "minutes of work", "minutes of the scheduler", "efficiency"], rows)


def main():
    options = parser(__file__, __doc__)
    options.add_argument("--notebooks", type=int, default=6)
    options.add_argument("--work", type=float, default=10, help="seconds of a core a notebook; default: %(default)s")
    options.add_argument("--repeats", type=int, default=1)
    arguments = options.parse_args()
    heading = (
        f"# Batches: {arguments.notebooks} notebooks of {arguments.work:g} seconds of a core\n\n"
        "Made by `python benchmarks/batch.py`. Times are of one run; the fastest of each.\n"
    )
    sections = {"Workers": workers, "What travels": travels, "A hundred workers": on_paper}
    write(arguments.out, heading, sections, arguments)


if __name__ == "__main__":
    main()
