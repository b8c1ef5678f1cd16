"""The registry: what cannot be loaded is a row with a reason."""

from quanopy.providers import registry


def test_an_installed_provider_is_created_with_its_settings() -> None:
    [plugin] = registry.load({"aer": {"processes": 3, "memory_bytes": 2**30}})
    assert plugin.problem is None
    assert plugin.provider is not None
    assert plugin.provider.name == "aer"
    assert plugin.distribution.startswith("quanopy ")
    plugin.provider.close()


def test_a_provider_that_is_not_installed_has_a_problem() -> None:
    [plugin] = registry.load({"nothing": {}})
    assert plugin.provider is None
    assert "not installed" in (plugin.problem or "")


def test_a_provider_that_cannot_be_created_has_a_problem() -> None:
    broken, whole = registry.load({"aer": {"colour": "red"}} | {"other": {}})
    assert "TypeError" in (broken.problem or "")
    assert whole.provider is None


def test_installed_providers_are_listed() -> None:
    assert "aer" in registry.installed()
