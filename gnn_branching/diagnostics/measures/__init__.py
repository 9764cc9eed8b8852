"""What measures: one quantity a module, on a frozen network and a fixed batch."""
