"""Long checks that the suite runs in a short form: simulations, killed runs, hostile files."""
