"""A run on disk and in time: settings, budgets, computation, folder, journal, check, processes, signals."""
