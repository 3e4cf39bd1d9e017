"""The main job, told as a story: `make demo`."""
