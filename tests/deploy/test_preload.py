"""Which images go to which nodes: the likeliest, where there is room, and never twice."""

from hypothesis import given
from hypothesis import strategies as st

from deploy.preload import LikelyImage, NodeFact, PreloadBounds, PreloadFacts, Pull, missing, preload_plan

_BOUNDS = PreloadBounds(copies=2, disk_bytes=100, at_once=10)


def image(name: str, **layers: int) -> LikelyImage:
    return LikelyImage(name, layers)


def nodes(*names: str, images: tuple[str, ...] = ()) -> list[NodeFact]:
    return [NodeFact(name, images) for name in names]


def test_the_likeliest_go_first_to_as_many_nodes_as_are_asked_for() -> None:
    facts = PreloadFacts([image("a", x=10), image("b", y=10)], nodes("n1", "n2", "n3"))
    assert preload_plan(facts, _BOUNDS) == [Pull("n1", "a"), Pull("n2", "a"), Pull("n3", "b")]


def test_what_is_there_is_not_brought() -> None:
    facts = PreloadFacts([image("a", x=10)], [NodeFact("n1", ("a",)), NodeFact("n2", ()), NodeFact("n3", ("a",))])
    assert preload_plan(facts, _BOUNDS) == []
    assert list(missing(facts, 2)) == []
    assert list(missing(facts, 9)) == [("a", 2)]


def test_a_node_brings_one_at_a_time_and_all_of_them_only_so_many() -> None:
    likely = [image(name, **{name: 1}) for name in "abc"]
    busy = [Pull("n1", "a")]
    assert preload_plan(PreloadFacts(likely, nodes("n1", "n2"), busy), _BOUNDS) == [Pull("n2", "a")]
    assert preload_plan(PreloadFacts(likely, nodes("n1", "n2"), busy), PreloadBounds(2, 100, 1)) == []


def test_what_images_share_is_counted_once() -> None:
    likely = [image("a", shared=90, a=5), image("b", shared=90, b=5), image("c", c=50), image("d", d=1)]
    facts = PreloadFacts(likely, [NodeFact("n1", ("a",))])
    assert preload_plan(facts, _BOUNDS) == [Pull("n1", "b")]
    facts = PreloadFacts(likely, [NodeFact("n1", ("a", "b"))])
    assert preload_plan(facts, _BOUNDS) == [], "nothing else fits"


def test_an_image_goes_where_most_of_it_is() -> None:
    likely = [image("a", shared=50, a=5), image("b", shared=50, b=5)]
    facts = PreloadFacts(likely, [NodeFact("n1", ()), NodeFact("n2", ("a",))])
    assert preload_plan(facts, PreloadBounds(1, 100, 10)) == [Pull("n2", "b")]


def test_what_was_tried_is_not_tried_again_for_a_while() -> None:
    facts = PreloadFacts([image("a", x=10)], nodes("n1"), tried=[Pull("n1", "a")])
    assert preload_plan(facts, _BOUNDS) == []


_SIZES = {"u": 0, "v": 1, "w": 7, "x": 30, "y": 60, "z": 200}
_NAMES = st.sampled_from(["n1", "n2", "n3", "n4"])
_IMAGES = st.sampled_from(["a", "b", "c", "d", "e"])
_LAYERS = st.frozensets(st.sampled_from(sorted(_SIZES))).map(lambda keys: {key: _SIZES[key] for key in keys})
_FACTS = st.builds(
    PreloadFacts,
    st.lists(st.builds(LikelyImage, _IMAGES, _LAYERS), unique_by=lambda one: one.name),
    st.lists(st.builds(NodeFact, _NAMES, st.frozensets(_IMAGES)), unique_by=lambda one: one.name),
)


@given(_FACTS, st.builds(PreloadBounds, st.integers(1, 3), st.integers(0, 200), st.integers(1, 4)))
def test_one_after_the_other_comes_to_an_end_within_the_bounds(facts: PreloadFacts, bounds: PreloadBounds) -> None:
    has = {node.name: {*node.images} for node in facts.nodes}
    plan: list[Pull] = []
    for _ in range(len(has) * len(facts.likely) + 1):
        plan = preload_plan(PreloadFacts(facts.likely, [NodeFact(*one) for one in has.items()]), bounds)
        assert len(plan) <= bounds.at_once
        assert len({pull.node for pull in plan}) == len(plan)
        for pull in plan:
            assert pull.image not in has[pull.node]
            has[pull.node].add(pull.image)
        if not plan:
            break
    assert not plan
    sizes = {one.name: one.layers for one in facts.likely}
    brought = {node.name: has[node.name] - {*node.images} for node in facts.nodes}
    for name, images in brought.items():
        layers = {key for one in has[name] & sizes.keys() for key in sizes[one]}
        assert not images or sum(_SIZES[key] for key in layers) <= bounds.disk_bytes
    assert all(sum(one in images for images in brought.values()) <= bounds.copies for one in sizes)
