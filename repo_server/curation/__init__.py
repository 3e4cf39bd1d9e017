"""From an address outside to a tree of bytes that a curator can judge.

    sources     address -> Fetched     the only part that touches disk, network or git
    unpack      archive -> entries     hostile bytes in, clean entries or FormatError out
    tree        entries -> SourceTree  the files that would be published, and nothing else
    checks      SourceTree -> findings pure functions, one family per file
    diff        two trees -> text      what a person reads before deciding

Nothing here decides whether a skill is good. It makes sure that the person who decides sees all of it.
"""
