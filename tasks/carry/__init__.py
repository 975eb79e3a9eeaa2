"""A release, its images and the tool in one folder that people carry by disk."""
