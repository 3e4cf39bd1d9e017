"""When what a store holds is compared with its digests, before it is shown to a jail."""

import enum


class VerifyAt(enum.StrEnum):
    """``birth``: at each birth. ``store-entry``: when it was put there; then the kernel is asked whether it changed since."""

    BIRTH = "birth"
    STORE_ENTRY = "store-entry"
