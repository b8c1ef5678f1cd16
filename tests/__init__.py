"""Quanopy's tests."""
