"""Quanopy: a self-hosted broker between programs and quantum resources."""
