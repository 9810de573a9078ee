HUB_ERRORS = (OSError, ValueError)
def hub_fault(error, name): return str(error)
