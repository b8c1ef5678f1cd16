"""Orchestration on ports alone: what Quanopy does, whatever it runs on."""
