"""The formats that signatures are about. No IO; standard library and ``packaging`` only.

Server and client read a bundle through the same functions, so they cannot disagree about what it says.
"""
