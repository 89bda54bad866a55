"""What every request passes before it is carried out: peers, time, headers, bounds, input."""
