"""Who starts a job and where: launchers, the limits they apply, the lock of the machine."""
