"""What each way of asking for Python's packages comes to: lists, Pipfiles, Conda's pip, and the repository itself."""

from collections.abc import Collection
from dataclasses import replace
from itertools import zip_longest

from build.recipes.asked import OWN_PREFIX, Asked, joined, listed
from build.recipes.build_systems import build_systems
from build.recipes.conda import CondaRequest
from build.recipes.locked import ROOT, locked_of
from build.recipes.pipenv import pipenv
from build.recipes.projects import MANIFEST, installed, manifest_of
from build.recipes.reading import Reading
from build.recipes.requirements import read_requirements


def of_python(reading: Reading, folder: str, more: Asked | None = None) -> Asked:
    """Return what is asked for by requirements.txt, by the repository as a package, or by a lock; and by `more`.

    As in repo2docker, a repository that is a package is installed besides its requirements.txt.

    Raises: NotReadYet; RepositoryFault.
    Source: https://github.com/jupyterhub/repo2docker/blob/main/repo2docker/buildpacks/python/__init__.py
    """
    manifest = manifest_of(reading, MANIFEST) if not folder and MANIFEST in reading.files else None
    is_package = not folder and ("setup.py" in reading.files or (manifest is not None and manifest.is_package))
    asked = joined(more or Asked(), Asked(requires=manifest.requires if manifest else ()))
    path = f"{folder}requirements.txt"
    if path in reading.files:
        asked = joined(asked, listed(reading, read_requirements(path, reading.text(path))))
    elif locked := locked_of(reading, folder, manifest):
        its_places = {place.path for place in locked.places} | {ROOT.path}
        own = Asked(places=(ROOT,) if is_package else ())
        return with_projects(reading, joined(asked, own, locked), told=its_places)
    return with_projects(reading, joined(asked, Asked(places=(ROOT,) if is_package else ())))


def of_pipenv(reading: Reading, folder: str) -> Asked:
    """Return what is asked for by a Pipfile or its lock.

    Raises: NotReadYet; RepositoryFault.
    """
    return with_projects(reading, pipenv(reading, folder))


def of_conda(reading: Reading, request: CondaRequest) -> Asked:
    """Return what a Conda environment asks of pip, which runs in the folder of the environment's file.

    Raises: NotReadYet; RepositoryFault.
    """
    if not request.pip:
        return Asked()
    # Each line stands where it does in the author's file, so that its number is the same in both.
    physical: list[str] = []
    for line, number in zip_longest(request.pip, request.pip_lines, fillvalue=1):
        physical += ["" for _ in range(int(number) - 1 - len(physical))]
        physical.append(" ".join(str(line).split()))
    folder = request.path.rpartition("/")[0]
    asked = read_requirements(request.path, "".join(f"{line}\n" for line in physical))
    own = f"{folder}/{OWN_PREFIX}pip.txt".lstrip("/")
    return with_projects(reading, listed(reading, asked, kept_as=own, places_from=folder))


def with_projects(reading: Reading, asked: Asked, told: Collection[str] = ()) -> Asked:
    """Return what is asked for, what its places are built with, and what they need, unless a lock told it (`told`).

    Raises: NotReadYet; RepositoryFault.
    """
    places = [place for place in asked.places if place.path not in told]
    found = joined(asked, installed(reading, places)) if places else asked
    return replace(found, build_systems=build_systems(reading, found.places))
