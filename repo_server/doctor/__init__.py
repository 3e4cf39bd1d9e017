"""`skillrepo doctor`: what is wrong with a repository, and how it is mended."""
