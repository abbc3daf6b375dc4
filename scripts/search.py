"""Settings chosen by leaving a source out: what ``calib search`` does, without an installed command."""

from calib.commands.search import command_line

if __name__ == "__main__":
    command_line()
