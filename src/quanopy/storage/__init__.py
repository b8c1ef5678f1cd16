"""Adapters of the storage ports: SQL catalogue, object store, wake-ups."""
