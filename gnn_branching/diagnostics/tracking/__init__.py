"""What tracks: measurements while a training runs, within a budget of its time."""
