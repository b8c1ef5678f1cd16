"""The server: settings, wiring, the HTTP interface and the worker's process."""
