"""pyproject.toml, constraints.txt and environment.yml say the same; the bare import stays light."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import jedi
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import ot_latent


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def pins(root):
    """Version of each distribution that constraints.txt pins, by canonical name."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(str(requirement.specifier).startswith("==") for requirement in requirements)
    return {canonicalize_name(r.name): str(r.specifier)[2:] for r in requirements}


@pytest.fixture(scope="module")
def environment(root):
    return yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))


def direct(project, *, extra=None):
    """Requirements of the library, or of one of its extras, without its references to itself."""
    listed = project["optional-dependencies"][extra] if extra else project["dependencies"]
    requirements = [Requirement(line) for line in listed]
    return [requirement for requirement in requirements if requirement.name != project["name"]]


def closure(requirements):
    """Names of the distributions that these requirements need, directly or not."""
    todo = list(requirements)
    found = {}
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        known = found.setdefault(name, set())
        news = ({""} | requirement.extras) - known
        known |= news
        for line in metadata.requires(name) or [] if news else []:
            child = Requirement(line)
            if re.search("platform(_system)? ==", str(child.marker)):
                continue  # for one platform only: torch's CUDA libraries on Linux, appnope on macOS
            if any(child.marker is None or child.marker.evaluate({"extra": e}) for e in news):
                todo.append(child)
    return found.keys() - {"setuptools"}  # belongs to the environment; pip freeze leaves it out


def everything(project):
    """Names of the distributions that the library with all its extras needs, but not the peers."""
    extras = project["optional-dependencies"].keys() - {"bench"}
    return closure(r for extra in (None, *extras) for r in direct(project, extra=extra))


@pytest.mark.parametrize("extra", [None, "data", "train", "notebooks", "docs", "dev"])
def test_every_dependency_is_pinned_to_a_version_that_it_allows(project, pins, extra):
    for requirement in direct(project, extra=extra):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_what_the_dependencies_need_is_pinned_too(project, pins):
    assert everything(project) - pins.keys() == set()


def test_nothing_else_is_pinned(project, pins):
    assert pins.keys() - everything(project) == set()


def test_the_pinned_versions_are_the_installed_ones(pins):
    installed = {name: metadata.version(name).split("+")[0] for name in pins}
    assert installed == pins


def test_torch_is_pinned_without_a_build(pins):
    assert "+" not in pins["torch"]  # so that a CPU wheel may be taken, or a CUDA one


def test_dev_brings_everything(project):
    names = {extra: project["optional-dependencies"][extra] for extra in ("notebooks", "dev")}
    assert "ot-latent[train]" in names["notebooks"]
    assert {"ot-latent[data]", "ot-latent[docs]", "ot-latent[notebooks]"} <= set(names["dev"])


def test_bench_brings_the_peers_that_the_benchmarks_import(root, project):
    scripts = list((root / "benchmarks").glob("*.py"))
    nodes = [node for path in scripts for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    imported = {
        name.partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    ours = set("ot_latent accelerate numpy ot scipy torch PIL h5py lmdb distributed nbformat".split())
    local = {path.stem for path in [*scripts, root / "tests" / "docs" / "browser.py"]}
    peers = imported - set(sys.stdlib_module_names) - ours - local
    distribution = {"ott": "ott-jax", "jax": "ott-jax", "sklearn": "scikit-learn"}
    listed = {requirement.name for requirement in direct(project, extra="bench")}
    assert {distribution.get(name, name.replace("_", "-")) for name in peers} == listed


def test_conda_installs_the_same_set(project, environment):
    *conda, last = environment["dependencies"]
    assert last == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    python = Requirement(conda[0].replace("=", "==") + ".*")
    assert (python.name, conda[1:]) == ("python", ["pip"])
    version = str(python.specifier).removeprefix("==").removesuffix(".*")
    assert SpecifierSet(project["requires-python"]).contains(version)


def test_the_library_alone_needs_little(project):
    assert closure(direct(project)).isdisjoint({"torch", "matplotlib", "papermill", "jupyterlab"})


def test_the_version_is_the_same_everywhere(project):
    assert project["version"] == ot_latent.__version__


def test_importing_the_library_is_light():
    code = (
        "import sys, ot_latent; ot_latent.Uniform, ot_latent.interpolate, ot_latent.__version__;"
        "print([m for m in ('torch', 'matplotlib', 'papermill', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_a_users_script_passes_strict_typing(root, tmp_path):
    # torch's own types take a minute to read, and none of ours depends on them
    config = tmp_path / "mypy.ini"
    settings = "[mypy]\nstrict = True\nfollow_imports = silent\n[mypy-torch.*]\nfollow_imports = skip\n"
    config.write_text(settings, encoding="utf-8")
    script = root / "tests" / "user_script.py"
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", root / ".mypy_cache", script]
    result = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_script_of_the_typing_test_has_every_public_name(root):
    script = (root / "tests" / "user_script.py").read_text(encoding="utf-8")
    rooms = {"brenier", "checks", "datasets", "kantorovich", "laguerre", "latent_transport", "models", "monotone"}
    rooms |= {"operations", "own", "paper", "priors", "saved", "scores", "semidiscrete", "training"}
    results = {"KantorovichSolution", "MonotoneMap", "PriorCheck"}  # what calls return
    assert [name for name in set(ot_latent.__all__) - rooms - results if name not in script] == []


def test_an_editor_completes_without_running_anything():
    found = jedi.Script("import ot_latent as otl\notl.").complete()
    assert {"interpolate", "SemiDiscreteOT", "LatentTransport", "datasets"} <= {name.name for name in found}
    ((call,),) = [jedi.Script("import ot_latent as otl\notl.slerp(").get_signatures()]
    assert [parameter.name for parameter in call.params] == ["z1", "z2", "t", "axes"]


def depends_on_the_locale(call):
    """Whether a call reads or writes a text file in whatever encoding the machine prefers."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text"):
        as_text = len(call.args) < (1 if name == "read_text" else 2)
    else:
        values = (*call.args, *(key.value for key in call.keywords if key.arg == "mode"))
        constants = [str(value.value) for value in values if isinstance(value, ast.Constant)]
        modes = [word for word in constants if re.fullmatch("[rwaxbt+]+", word)]
        as_text = (
            name in ("open", "fdopen") and (modes or isinstance(call.func, ast.Name)) and "b" not in "".join(modes)
        )
    return bool(as_text) and "encoding" not in {key.arg for key in call.keywords}


@pytest.mark.parametrize(
    ("code", "depends"),
    [
        *(("open(p)", True), ("p.open('w')", True), ("open(p, mode='a')", True), ("p.read_text()", True)),
        *(("p.write_text(x)", True), ("open(p, 'rb')", False), ("open(p, encoding='utf-8')", False)),
        *(("p.write_text(x, 'utf-8')", False), ("Image.open(p)", False), ("p.read_text(encoding='utf-8')", False)),
    ],
)
def test_the_check_of_encodings_works(code, depends):
    assert depends_on_the_locale(ast.parse(code).body[0].value) is depends


def test_text_is_read_and_written_as_utf_8(root):
    scripts = [path for room in ("ot_latent", "tests", "benchmarks") for path in (root / room).rglob("*.py")]
    sources = [(path, path.read_text(encoding="utf-8")) for path in scripts]
    for path in (root / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources += [(path, "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    calls = [(path, node) for path, text in sources for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert len(calls) > 5000
    assert [f"{path.name}:{call.lineno}" for path, call in calls if depends_on_the_locale(call)] == []


FAKE_PYTHON = """\
#!/bin/sh
if [ "$0" = .venv/bin/python ]; then
  echo begins >> log; sleep 0.5; echo ends >> log
elif [ "$1" = -m ]; then
  mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo venv >> log
else
  exec "{python}" "$@"
fi
"""


def test_two_make_setup_at_once_make_one_environment(root, tmp_path):
    checkout = tmp_path / "a {1} checkout, (new)"
    checkout.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, checkout)
    fake = checkout / "fake-python"
    fake.write_text(FAKE_PYTHON.format(python=sys.executable), encoding="utf-8")
    fake.chmod(0o755)
    command = ["make", "setup", "PYTHON=./fake-python"]
    # this test may run under make itself, which tells its children so
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    given = {"cwd": checkout, "env": environment, "stdout": subprocess.PIPE, "text": True}

    def start():
        return subprocess.Popen(command, **given, stderr=subprocess.STDOUT)

    outputs = [process.communicate()[0] for process in [start(), start()]]
    assert sum("pip install" in output for output in outputs) == 1, outputs
    assert (checkout / "log").read_text(encoding="utf-8").split() == ["venv", "begins", "ends"]
    assert subprocess.run(command, **given).stdout == ""


def test_every_pinned_package_has_hashes_for_setup_on_request(root, pins):
    lines = (root / "constraints-hashes.txt").read_text(encoding="utf-8").splitlines()
    entries = " ".join(line for line in lines if not line.startswith("#")).replace("\\ ", "").split("==")
    found = {}
    for before, entry in zip(entries, entries[1:], strict=False):
        version, *hashes = [word for word in entry.split() if "=" in word or word == entry.split()[0]]
        assert hashes and all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", word) for word in hashes)
        found[canonicalize_name(before.split()[-1])] = version
    assert found == pins
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    for given, said in (("HASHES=1", "--require-hashes -r constraints-hashes.txt"), ("HASHES=", "-c constraints.txt")):
        command = ["make", "--dry-run", "--always-make", ".venv/installed", given]
        told = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout
        assert said in " ".join(told.replace("\\\n", " ").split())


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """Where a wheel is unpacked, as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=root, check=True)
    shutil.unpack_archive(next(folder.glob("*.whl")), folder / "site", "zip")
    return folder / "site"


def in_wheel(wheel, *command):
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=wheel)


def test_a_wheel_has_what_the_readme_loads(root, wheel):
    text = (root / "README.md").read_text(encoding="utf-8")
    names = set(re.findall(r'"(mnist-[\w-]+)"', text))
    assert len(names) == 3
    code = f"""if True:
        import ot_latent as otl
        assert otl.__file__.startswith({str(wheel)!r})
        for name in {sorted(names)!r}:
            otl.checkpoints.load(name)
        z1, z2 = otl.Gaussian(0, 1).sample((2, 10_000, 100), rng=0)
        print(round(float((otl.interpolate(z1, z2, 0.5, prior=otl.Gaussian(0, 1)) ** 2).sum(1).mean())))
    """
    result = in_wheel(wheel, "-c", code)
    assert result.stdout == "100\n", result.stderr


@pytest.mark.parametrize("command", [("reproduce", "01"), ("train", "mnist-ae"), ("results",)])
def test_without_a_clone_commands_say_that_they_need_one(wheel, command):
    result = in_wheel(wheel, "-m", "ot_latent.cli", *command)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "need a clone of the repository" in " ".join(result.stderr.split())


@pytest.mark.parametrize(("name", "module"), [("LatentTransport", "torch"), ("fit_images", "PIL")])
def test_what_is_not_installed_is_named_with_its_extra(name, module):
    code = f"import sys; sys.modules[{module!r}] = None; import ot_latent; ot_latent.{name}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"{module} is not installed. Remedy: pip install 'ot-latent[train]'" in result.stderr
