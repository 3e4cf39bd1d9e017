"""Packages into jails: streamed to pkg on FreeBSD, unpacked into folders elsewhere; receipts of what was handed over."""
