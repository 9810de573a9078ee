"""What every folder needs: the error that the user reads, strict JSON, files, the hub. Imports none of them."""
