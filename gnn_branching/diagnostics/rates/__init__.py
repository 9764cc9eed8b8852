"""What measures a learning rate."""
