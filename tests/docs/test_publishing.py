"""What publishes the website and the library, and what opens the notebooks elsewhere, agrees with the project."""

import re
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
