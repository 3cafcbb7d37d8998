"""What core itself registers, through the same door as any plugin."""
