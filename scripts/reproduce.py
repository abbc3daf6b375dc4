"""Many runs and their report: what ``calib reproduce`` does, without an installed command."""

from calib.commands.reproduce import command_line

if __name__ == "__main__":
    command_line()
