"""What every request to the control API passes before it is carried out."""
