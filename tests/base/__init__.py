"""What every actor stands on: the stepped loop, the channels, and the actor around them."""
