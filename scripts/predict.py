"""Class probabilities for a file of samples: what ``calib predict`` does, without an installed command."""

from calib.commands.predict import command_line

if __name__ == "__main__":
    command_line()
