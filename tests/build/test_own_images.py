"""What our images are made of decides what they are called; how they are made for real, `tests/cluster` sees."""

from build.own_images import Step, image_steps


def _keys(wheel: bytes = b"wheel", requirements: str = "core==1\n") -> dict[str, str]:
    return {name: step.key for name, step in image_steps("binder.whl", wheel, requirements).items()}


def _shared(one: Step, other: Step) -> list[str]:
    return [step.name for step in one.chain if step in other.chain]


def test_the_same_inputs_give_the_same_names() -> None:
    assert _keys() == _keys()


def test_new_code_makes_new_images_on_the_same_packages_and_leaves_the_database() -> None:
    before, after = _keys(), _keys(wheel=b"another")
    assert {name for name in before if before[name] != after[name]} == {"service", "builder"}
    old, new = (image_steps("binder.whl", wheel, "core==1\n") for wheel in (b"wheel", b"another"))
    assert [step.name for step in new["service"].chain] == ["service", "serving", "dependencies", "base"]
    assert _shared(old["service"], new["service"]) == ["serving", "dependencies", "base"]


def test_new_packages_of_python_make_all_new_that_has_them() -> None:
    before, after = _keys(), _keys(requirements="core==2\n")
    assert {name for name in before if before[name] != after[name]} == {"service", "builder"}


def test_the_service_and_the_builder_share_python_s_packages() -> None:
    steps = image_steps("binder.whl", b"wheel", "core==1\n")
    assert _shared(steps["service"], steps["builder"]) == ["dependencies", "base"]
