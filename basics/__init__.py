"""What every folder needs: the error that the user reads, strict JSON, files, the hub. Imports no other folder."""
