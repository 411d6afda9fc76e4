from .a2a import remote_agent as remote_agent
from .agent import Agent as Agent, Answer as Answer
from .approval import Approval as Approval, Edit as Edit, Refuse as Refuse, file_diff as file_diff
from .errors import (
    BadAnswer as BadAnswer,
    GuardFailed as GuardFailed,
    SourceUnreadable as SourceUnreadable,
    TooManyTurns as TooManyTurns,
)
from .external_tools import external_tool as external_tool
from .guards import Guard as Guard, bare_markdown as bare_markdown, guard as guard
from .guards import Hooks as Hooks
from .live_events import (
    AnswerReset as AnswerReset,
    PartialAnswer as PartialAnswer,
    TextDelta as TextDelta,
    ThinkingDelta as ThinkingDelta,
    ToolCalled as ToolCalled,
    ToolReturned as ToolReturned,
)
from .mcp_servers import mcp as mcp
from .prompts import DATA_NOTE as DATA_NOTE, block as block, labelled as labelled
from .pydantic_ai import pydantic_ai_node as pydantic_ai_node
from .reading import result_of as result_of
from .tool_writes import ToolContext as ToolContext
from .tools import Tool as Tool, ToolSource as ToolSource, tool as tool
from .toolsets import toolset as toolset
from .window import Window as Window, effective as effective, without_tools as without_tools
