"""Cases, readers of raw layouts, and the prepared dataset that training and evaluation read."""
