"""The commands: ``quanopy``, ``qrun``, ``sample``, ``estimate``.

What a command needs is imported when it runs, for help must come at once.
"""
