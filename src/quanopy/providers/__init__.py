"""Providers: one package or module a vendor or emulator, found by entry points."""
