"""What publishes the website and the library, and what opens the notebooks elsewhere, agrees with the project."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CPU = "https://download.pytorch.org/whl/cpu"


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=["pages", "release"])
def workflow(request):
    return yaml.safe_load(read(f".github/workflows/{request.param}.yml"))


def test_only_jobs_that_publish_may_ask_for_an_identity(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    asking = {name for name, job in workflow["jobs"].items() if "id-token" in job.get("permissions", {})}
    assert asking == {"publish"}
    assert "environment" in workflow["jobs"]["publish"]


def test_no_secret_is_kept(workflow):
    assert "secrets." not in str(workflow)
    assert "password" not in str(workflow)


def test_actions_have_versions(workflow):
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", action)] == []


def test_every_shell_step_is_well_formed_and_names_files_that_exist(workflow):
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    for text in (step["run"] for step in steps if "run" in step):
        subprocess.run(["bash", "-n", "-c", text], check=True)
        named = re.findall(r"[\w/]+\.(?:py|txt)\b", text)
        assert [name for name in named if not (ROOT / name).is_file()] == []


def test_what_is_published_is_what_was_built():
    jobs = yaml.safe_load(read(".github/workflows/release.yml"))["jobs"]
    assert jobs["build"]["steps"][-1]["with"] == jobs["publish"]["steps"][0]["with"] == {"name": "dist", "path": "dist"}
    pages = yaml.safe_load(read(".github/workflows/pages.yml"))["jobs"]["build"]["steps"][-1]
    assert pages["with"]["path"] == "build/docs/html" and 'ROOT / "build" / "docs"' in read("docs/build.py")


def test_binder_can_run_its_script():
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK) and read(".binder/postBuild").startswith("#!")
    subprocess.run(["bash", "-n", script], check=True)


def test_a_release_waits_for_the_audit_of_the_pins():
    jobs = yaml.safe_load(read(".github/workflows/release.yml"))["jobs"]
    assert set(jobs["publish"]["needs"]) == {"audit", "build"}
    assert "constraints.txt" in str(jobs["audit"])


def test_binder_and_the_website_install_the_pinned_set_for_processors():
    for text in (read(".binder/postBuild"), read(".github/workflows/pages.yml")):
        assert f"--extra-index-url {CPU} -c constraints.txt" in text
    python = [yaml.safe_load(read(path))["dependencies"][0] for path in ("environment.yml", ".binder/environment.yml")]
    assert len(set(python)) == 1


def test_the_extras_that_are_installed_elsewhere_exist():
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    places = (".binder/postBuild", ".github/workflows/pages.yml", "docs/elsewhere.md", "docs/api/index.md")
    named = re.findall(r"(?:\.|/ot_latent)\[(\w+)\]", "".join(map(read, places)))
    assert len(named) == len(places)
    assert set(named) <= extras.keys()
