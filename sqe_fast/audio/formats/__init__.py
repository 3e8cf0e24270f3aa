"""What each container says of the sound in it. `containers.inspect` asks them."""
