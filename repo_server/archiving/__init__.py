"""A repository in a folder that can be carried: written here, verified there (docs/air-gap.md)."""
