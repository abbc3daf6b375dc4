"""Studies downloaded and verified: what ``calib fetch`` does, without an installed command."""

from calib.commands.fetch import command_line

if __name__ == "__main__":
    command_line()
