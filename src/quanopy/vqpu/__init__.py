"""The virtual QPU: an emulator as a service, with the noise and the pace of a device."""
