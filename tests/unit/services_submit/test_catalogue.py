"""Resources by name: what a wrong name is told."""

from quanopy.services.catalogue import no_resource

DEVICES = [f"aer-fake-{name}" for name in ("fez", "torino", "belem", "lima", "quito", "manila")]
MANY = ["aer", "aer-clifford", "aer-mps", "aer-density", "ibm_fez", *DEVICES]


def test_few_names_are_all_told() -> None:
    assert no_resource("moon", ["b", "a"], where="resource").hint == "Known: a, b."


def test_of_many_names_those_that_look_alike_are_told_and_how_many_more_there_are() -> None:
    hint = no_resource("aer-fake-bellem", MANY, where="resource").hint or ""
    assert hint.startswith("Did you mean aer-fake-belem")
    told = [name for name in MANY if f"{name}," in hint or f"{name}?" in hint]
    assert f"{len(MANY) - len(told)} more" in hint
    assert len(hint) < 200


def test_a_name_like_no_other_is_told_how_many_there_are() -> None:
    assert f"{len(MANY)} are there" in (no_resource("%%", MANY, where="resource").hint or "")


def test_no_names_at_all_raise_a_question() -> None:
    assert "worker" in (no_resource("aer", [], where="resource").hint or "")
