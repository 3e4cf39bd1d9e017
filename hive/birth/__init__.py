"""Births: a pure plan, a journal that lets a killed one continue, and the part that changes the machine."""
