from .context import CommandContext as CommandContext
from .options import command as command
