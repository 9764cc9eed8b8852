"""What advises: the report on a run."""
