"""From plates to an answer: the design, the comparison on labelled plates, the choice, the calls, the page.

``calib answer`` and ``calib.answer`` do all of it, ``calib check`` the first step alone.
"""
