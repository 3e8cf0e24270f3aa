"""What a job loses when it is killed, what it costs beside the model, and how it goes on."""
