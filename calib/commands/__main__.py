"""``python -m calib.commands``: the command ``calib`` where it is not on the path."""

from calib.commands import main

main()
