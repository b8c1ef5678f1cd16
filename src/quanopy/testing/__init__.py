"""Shipped test suites: what an adapter must do, as classes to subclass."""
